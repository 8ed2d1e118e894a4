#include "config/run_config_loader.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "base/string_view.h"
#include "config/diagnostics.h"
#include "config/field_value.h"
#include "config/rules.h"
#include "config/section_reader.h"
#include "config/yaml_tree.h"

namespace varalign::config {
namespace {

namespace fs = std::filesystem;

// The place of the nearest section around `path` that was written.
Place PlaceAround(std::string path, const Reading& reading) {
  for (size_t dot = path.rfind('.'); dot != std::string::npos;
       dot = path.rfind('.')) {
    path.resize(dot);
    const auto found = reading.places.find(path);
    if (found != reading.places.end()) return found->second;
  }
  return {.line = 1, .column = 1};
}

void CheckRequired(const v1::RunConfig& config, Reading& reading) {
  VisitValues(config, [&](const std::string& path, const Message&,
                          const FieldDescriptor& field) {
    if (RuleOf(field).required() && !reading.places.contains(path)) {
      reading.Refuse(path, PlaceAround(path, reading), "required");
    }
  });
}

// Blames the first field of a conflict that somebody wrote.
void CheckConflicts(const v1::RunConfig& config, Reading& reading) {
  for (const Conflict& conflict : FindConflicts(config)) {
    const auto& paths = conflict.paths;
    if (std::any_of(paths.begin(), paths.end(), [&](const std::string& path) {
          return reading.refused.contains(path);
        })) {
      continue;
    }
    const auto written = std::find_if(
        paths.begin(), paths.end(),
        [&](const std::string& path) { return reading.places.contains(path); });
    reading.diagnostics.Add(
        written == paths.end() ? Place() : reading.places.at(*written),
        absl::StrCat(paths.front(), ": ", conflict.reason));
  }
}

std::map<std::string, std::string> OriginsOf(const v1::RunConfig& config,
                                             const fs::path& file,
                                             const Reading& reading) {
  std::map<std::string, std::string> origins;
  VisitValues(config, [&](const std::string& path, const Message& section,
                          const FieldDescriptor& field) {
    if (!section.GetReflection()->HasField(section, &field)) return;
    const auto found = reading.places.find(path);
    std::string& origin = origins[path];
    if (found == reading.places.end()) {
      origin = "default";
    } else if (found->second.is_flag()) {
      origin = "flag";
    } else {
      origin = absl::StrCat(file.string(), ":", found->second.line, ":",
                            found->second.column);
    }
  });
  return origins;
}

void ReadDocument(const YamlNode& document, const fs::path& directory,
                  v1::RunConfig& config, Reading& reading) {
  if (document.kind == YamlNode::Kind::kMap) {
    ReadSection(document, "", directory, config, reading);
  } else if (document.kind != YamlNode::Kind::kNothing) {
    reading.diagnostics.Add(
        document.place,
        "expected keys at the top, such as 'model: {path: ...}'");
  }
}

// What CheckRunConfig asks of one value; empty: nothing.
std::string Complaint(const Message& section, const FieldDescriptor& field) {
  const v1::FieldRule& rule = RuleOf(field);
  if (!section.GetReflection()->HasField(section, &field)) {
    if (rule.required()) return "required";
    return rule.default_value().empty() || PresetDecides(field)
               ? ""
               : "not set; the configuration is not resolved";
  }
  const absl::Status status = CheckRange(section, field);
  if (!status.ok()) return std::string(status.message());
  if (rule.unit() == v1::UNIT_PATH &&
      !fs::path(TextOf(section, field)).is_absolute()) {
    return absl::StrCat("must be an absolute path, got ",
                        Quoted(TextOf(section, field)));
  }
  return "";
}

}  // namespace

absl::StatusOr<LoadedConfig> LoadRunConfig(
    const fs::path& file, std::span<const std::string> overrides) {
  const auto yaml = base::ReadFile(file, kMaxYamlBytes);
  if (absl::IsOutOfRange(yaml.status())) {
    Diagnostics diagnostics;
    diagnostics.Add({.line = 1, .column = 1},
                    absl::StrCat("larger than ", kMaxYamlBytes, " bytes"));
    return diagnostics.ToStatus(file.string());
  }
  RETURN_IF_ERROR(yaml.status());
  return ParseRunConfig(*yaml, file, overrides);
}

absl::StatusOr<LoadedConfig> ParseRunConfig(
    std::string_view yaml, const fs::path& file,
    std::span<const std::string> overrides) {
  LoadedConfig loaded;
  v1::RunConfig& config = loaded.config;
  Reading reading;
  const std::optional<YamlNode> document = ParseYaml(yaml, reading.diagnostics);
  if (!document) return reading.diagnostics.ToStatus(file.string());

  ReadDocument(*document, fs::absolute(file).parent_path(), config, reading);
  for (const std::string& flag : overrides) {
    ReadFlag(flag, fs::current_path(), config, reading);
  }
  FillDefaults(config);
  CheckRequired(config, reading);
  CheckConflicts(config, reading);
  RETURN_IF_ERROR(reading.diagnostics.ToStatus(file.string()));
  loaded.origins = OriginsOf(config, file, reading);
  return loaded;
}

absl::Status ApplyOverrides(std::span<const std::string> overrides,
                            v1::RunConfig& config) {
  Reading reading;
  for (const std::string& flag : overrides) {
    ReadFlag(flag, fs::current_path(), config, reading);
  }
  return reading.diagnostics.ToStatus("configuration");
}

absl::Status CheckRunConfig(const v1::RunConfig& config) {
  Reading reading;
  VisitValues(config, [&](const std::string& path, const Message& section,
                          const FieldDescriptor& field) {
    const std::string complaint = Complaint(section, field);
    if (!complaint.empty()) reading.Refuse(path, {}, complaint);
  });
  CheckConflicts(config, reading);
  return reading.diagnostics.ToStatus("configuration");
}

}  // namespace varalign::config
