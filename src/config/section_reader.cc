#include "config/section_reader.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/string_view.h"
#include "config/field_value.h"
#include "config/nearest.h"
#include "config/value_text.h"
#include "varalign/v1/run_config.pb.h"

namespace varalign::config {
namespace {

std::vector<std::string> KeysOf(const Descriptor& section) {
  std::vector<std::string> keys;
  for (int i = 0; i < section.field_count(); ++i) {
    keys.push_back(section.field(i)->name());
  }
  return keys;
}

// The dotted path of the only key called `key` anywhere below `section`; empty
// if there is none or more than one.
std::string FindElsewhere(const std::string& key, const Descriptor& section,
                          const std::string& path) {
  std::vector<std::string> found;
  for (int i = 0; i < section.field_count(); ++i) {
    const FieldDescriptor& field = *section.field(i);
    const std::string below = JoinPath(path, field.name());
    if (field.name() == key) found.push_back(below);
    if (!IsSection(field)) continue;
    const std::string deeper = FindElsewhere(key, *field.message_type(), below);
    if (!deeper.empty()) found.push_back(deeper);
  }
  return found.size() == 1 ? found.front() : "";
}

std::string Suggestion(const std::string& key, const Descriptor& section) {
  const std::vector<std::string> keys = KeysOf(section);
  const std::string near = DidYouMean(key, keys);
  if (!near.empty()) return near;
  const std::string elsewhere =
      FindElsewhere(key, *v1::RunConfig::descriptor(), "");
  if (!elsewhere.empty()) {
    return absl::StrCat("; did you mean '", elsewhere, "'?");
  }
  return absl::StrCat("; known: ", absl::StrJoin(keys, ", "));
}

std::string UnknownKey(const std::string& key, const std::string& path,
                       const Descriptor& section) {
  return absl::StrCat("unknown key ", Quoted(key),
                      path.empty() ? "" : absl::StrCat(" in ", path),
                      Suggestion(key, section));
}

const char* KindName(YamlNode::Kind kind) {
  return kind == YamlNode::Kind::kList ? "a list" : "a section";
}

void ReadText(const std::string& text, const std::string& path,
              const Place& place, const FieldDescriptor& field,
              const std::filesystem::path& directory, Message& section,
              Reading& reading) {
  const absl::Status status = SetFromText(text, field, directory, section);
  if (!status.ok()) {
    reading.Refuse(path, place, base::ToStd(status.message()));
  }
}

// A list means what its names with commas between them mean.
void ReadNames(const YamlNode& list, const std::string& path,
               const Place& place, const FieldDescriptor& field,
               Message& section, Reading& reading) {
  std::vector<std::string> names;
  for (const YamlNode& item : list.items) {
    if (item.kind != YamlNode::Kind::kScalar) {
      reading.Refuse(path, item.place, "expected a name in the list");
      return;
    }
    names.push_back(item.text);
  }
  ReadText(absl::StrJoin(names, ", "), path, place, field, "", section,
           reading);
}

void ReadValue(const YamlNode& node, const std::string& path,
               const Place& place, const FieldDescriptor& field,
               const std::filesystem::path& directory, Message& section,
               Reading& reading) {
  switch (node.kind) {
    case YamlNode::Kind::kScalar:
      ReadText(node.text, path, place, field, directory, section, reading);
      return;
    case YamlNode::Kind::kNothing:
      reading.Refuse(path, place,
                     RuleOf(field).required()
                         ? "has no value"
                         : "has no value; leave the key out for its default");
      return;
    default:
      if (node.kind == YamlNode::Kind::kList &&
          RuleOf(field).unit() == v1::UNIT_NAMES) {
        ReadNames(node, path, place, field, section, reading);
        return;
      }
      reading.Refuse(path, place,
                     absl::StrCat("expected ", ExpectedText(field), ", got ",
                                  KindName(node.kind)));
  }
}

void ReadSubsection(const YamlNode& node, const std::string& path,
                    const FieldDescriptor& field,
                    const std::filesystem::path& directory, Message& section,
                    Reading& reading) {
  Message& below = *section.GetReflection()->MutableMessage(&section, &field);
  switch (node.kind) {
    case YamlNode::Kind::kMap:
      ReadSection(node, path, directory, below, reading);
      return;
    case YamlNode::Kind::kNothing:  // all of its keys are commented out
      return;
    default:
      reading.Refuse(
          path, node.place,
          absl::StrCat("expected a section with keys, got ",
                       node.kind == YamlNode::Kind::kScalar ? Quoted(node.text)
                                                            : "a list"));
  }
}

// Where a flag's key leads; `field` is null after an error.
struct Target {
  std::string path = {};
  Message* section = nullptr;
  const FieldDescriptor* field = nullptr;
};

Target FindTarget(const std::vector<std::string>& keys, const Place& place,
                  Message& root, Reading& reading) {
  Target target = {.section = &root};
  for (const std::string& key : keys) {
    if (target.field != nullptr) {
      if (!IsSection(*target.field)) {
        reading.Refuse(target.path, place, "has no keys below it");
        return {};
      }
      target.section = target.section->GetReflection()->MutableMessage(
          target.section, target.field);
    }
    const Descriptor& section = *target.section->GetDescriptor();
    target.field = section.FindFieldByName(key);
    if (target.field == nullptr) {
      reading.diagnostics.Add(place, UnknownKey(key, target.path, section));
      return {};
    }
    target.path = JoinPath(target.path, key);
  }
  return target;
}

}  // namespace

void Reading::Refuse(const std::string& path, const Place& place,
                     std::string_view reason) {
  refused.insert(path);
  diagnostics.Add(place, absl::StrCat(path, ": ", base::ToAbsl(reason)));
}

void ReadSection(const YamlNode& node, const std::string& path,
                 const std::filesystem::path& directory, Message& section,
                 Reading& reading) {
  for (const YamlNode& item : node.items) {
    const FieldDescriptor* field =
        section.GetDescriptor()->FindFieldByName(item.key);
    if (field == nullptr) {
      reading.diagnostics.Add(
          item.key_place, UnknownKey(item.key, path, *section.GetDescriptor()));
      continue;
    }
    const std::string below = JoinPath(path, item.key);
    if (IsSection(*field)) {
      reading.places[below] = item.key_place;
      ReadSubsection(item, below, *field, directory, section, reading);
      continue;
    }
    // YAML puts a value that is not there wherever it noticed that.
    const bool is_there = item.kind != YamlNode::Kind::kNothing;
    const Place& place = is_there ? item.place : item.key_place;
    reading.places[below] = place;
    ReadValue(item, below, place, *field, directory, section, reading);
  }
}

void ReadFlag(const std::string& flag, const std::filesystem::path& directory,
              Message& root, Reading& reading) {
  const Place place = {.flag = flag};
  const size_t equals = flag.find('=');
  if (equals == std::string::npos || equals == 0) {
    reading.diagnostics.Add(place,
                            "expected KEY=VALUE, such as train.epochs=2");
    return;
  }
  const std::vector<std::string> keys =
      absl::StrSplit(flag.substr(0, equals), '.');
  const Target target = FindTarget(keys, place, root, reading);
  if (target.field == nullptr) return;
  if (IsSection(*target.field)) {
    reading.Refuse(
        target.path, place,
        absl::StrCat(
            "is a section; set one of its keys: ",
            absl::StrJoin(KeysOf(*target.field->message_type()), ", ")));
    return;
  }
  reading.places[target.path] = place;
  ReadValue({.kind = YamlNode::Kind::kScalar,
             .place = place,
             .text = flag.substr(equals + 1)},
            target.path, place, *target.field, directory, *target.section,
            reading);
}

}  // namespace varalign::config
