// The rules of run_config.proto, applied to a whole message.
#ifndef VARALIGN_CONFIG_RULES_H_
#define VARALIGN_CONFIG_RULES_H_

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "config/field.h"
#include "google/protobuf/message.h"
#include "varalign/v1/run_config.pb.h"

namespace varalign::config {

// Calls `visit` for every value (no section) below `root`, set or not, in the
// order of the proto. `path` is dotted.
void VisitValues(
    const Message& root,
    const std::function<void(const std::string& path, const Message& section,
                             const FieldDescriptor& field)>& visit,
    const std::string& path = "");

// Sets every field that is absent and has a default, but for those of
// `objective` that a preset decides; makes every section present.
void FillDefaults(Message& root);

// A rule between fields that does not hold.
struct Conflict {
  // Paths of the fields that it is about; the first one is to blame.
  std::vector<std::string> paths;
  std::string reason;
};

// REQUIRES: `config` has its defaults.
std::vector<Conflict> FindConflicts(const v1::RunConfig& config);

}  // namespace varalign::config

#endif  // VARALIGN_CONFIG_RULES_H_
