// Values into messages: from a YAML tree and from flags.
#ifndef VARALIGN_CONFIG_SECTION_READER_H_
#define VARALIGN_CONFIG_SECTION_READER_H_

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "config/diagnostics.h"
#include "config/field.h"
#include "config/yaml_tree.h"
#include "google/protobuf/message.h"

namespace varalign::config {

// What reading leaves behind beside the message.
struct Reading {
  // By dotted path, values and sections alike, the refused ones too.
  std::map<std::string, Place> places;
  // Paths whose value was refused.
  std::set<std::string> refused;
  Diagnostics diagnostics;

  void Refuse(const std::string& path, const Place& place,
              std::string_view reason);
};

// Reads the map `node` into `section`, whose dotted path is `path` ("" for the
// root). Relative paths of files start at `directory`.
void ReadSection(const YamlNode& node, const std::string& path,
                 const std::filesystem::path& directory, Message& section,
                 Reading& reading);

// Reads "a.b=value" into `root`.
void ReadFlag(const std::string& flag, const std::filesystem::path& directory,
              Message& root, Reading& reading);

}  // namespace varalign::config

#endif  // VARALIGN_CONFIG_SECTION_READER_H_
