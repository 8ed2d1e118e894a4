#include "config/difference.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "config/field.h"
#include "config/field_value.h"
#include "config/rules.h"

namespace varalign::config {
namespace {

using Values = std::vector<std::pair<std::string, std::string>>;

// Every value by its path, set or not.
Values ValuesOf(const v1::RunConfig& config) {
  Values values;
  VisitValues(config, [&values](const std::string& path, const Message& section,
                                const FieldDescriptor& field) {
    const bool is_set = section.GetReflection()->HasField(section, &field);
    values.emplace_back(path, is_set ? TextOf(section, field) : "not set");
  });
  return values;
}

}  // namespace

std::vector<std::string> Differences(const v1::RunConfig& kept,
                                     const v1::RunConfig& given) {
  const Values ours = ValuesOf(kept), theirs = ValuesOf(given);
  std::vector<std::string> differences;
  for (size_t i = 0; i < ours.size(); ++i) {
    if (ours[i].second == theirs[i].second) continue;
    differences.push_back(absl::StrCat(ours[i].first, " is ", ours[i].second,
                                       ", not ", theirs[i].second));
  }
  return differences;
}

}  // namespace varalign::config
