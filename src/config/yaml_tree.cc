#include "config/yaml_tree.h"

#include <algorithm>
#include <exception>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/utf8.h"
#include "yaml-cpp/eventhandler.h"
#include "yaml-cpp/exceptions.h"
#include "yaml-cpp/mark.h"
#include "yaml-cpp/parser.h"

namespace varalign::config {
namespace {

// yaml-cpp counts from 0.
Place PlaceOf(const YAML::Mark& mark) {
  return {.line = mark.line + 1, .column = mark.column + 1};
}

// Builds the tree from the events of the parser, which sees aliases as events
// too, so that nothing is ever expanded. After an error that leaves no tree it
// ignores all further events.
class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(Diagnostics& diagnostics) : diagnostics_(diagnostics) {}

  // No further event changes the outcome.
  bool failed() const { return failed_; }

  // The document, once; nullopt after an error that leaves no tree.
  std::optional<YamlNode> Take() {
    if (failed_) return std::nullopt;
    return std::move(root_);
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++num_documents_ == 2) {
      Fail(PlaceOf(mark), "a second document; a configuration is one");
    }
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (!Admit(mark, "", anchor)) return;
    Attach({.place = PlaceOf(mark)});
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    Fail(PlaceOf(mark), "aliases are not allowed; write the value again");
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag,
                YAML::anchor_t anchor, const std::string& value) override {
    if (!Admit(mark, tag, anchor)) return;
    Attach({.kind = YamlNode::Kind::kScalar,
            .place = PlaceOf(mark),
            .text = value});
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag,
                       YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(YamlNode::Kind::kList, mark, tag, anchor);
  }
  void OnSequenceEnd() override { Close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag,
                  YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    Open(YamlNode::Kind::kMap, mark, tag, anchor);
  }
  void OnMapEnd() override { Close(); }

 private:
  // A list or map whose end has not come.
  struct Frame {
    YamlNode node;
    std::optional<YamlNode> key = {};  // of a map, waits for its value
  };

  void Fail(Place place, std::string message) {
    if (!failed_) diagnostics_.Add(std::move(place), std::move(message));
    failed_ = true;
  }

  // Whether a node may join the tree.
  bool Admit(const YAML::Mark& mark, const std::string& tag,
             YAML::anchor_t anchor) {
    if (++num_nodes_ > kMaxYamlNodes) {
      Fail(PlaceOf(mark), absl::StrCat("more than ", kMaxYamlNodes, " nodes"));
    } else if (anchor != YAML::NullAnchor) {
      Fail(PlaceOf(mark), "anchors are not allowed; write the value again");
    } else if (!tag.empty() && tag != "?" && tag != "!") {
      Fail(PlaceOf(mark), "tags are not allowed; a key has one type");
    }
    return !failed_;
  }

  void Open(YamlNode::Kind kind, const YAML::Mark& mark, const std::string& tag,
            YAML::anchor_t anchor) {
    if (!Admit(mark, tag, anchor)) return;
    if (open_.size() == kMaxYamlDepth) {
      Fail(PlaceOf(mark), absl::StrCat("more than ", kMaxYamlDepth, " levels"));
      return;
    }
    open_.push_back({.node = {.kind = kind, .place = PlaceOf(mark)}});
  }

  void Close() {
    if (failed_) return;
    YamlNode node = std::move(open_.back().node);
    open_.pop_back();
    Attach(std::move(node));
  }

  void Attach(YamlNode node) {
    if (open_.empty()) {
      root_ = std::move(node);
    } else if (open_.back().node.kind == YamlNode::Kind::kList) {
      open_.back().node.items.push_back(std::move(node));
    } else if (!open_.back().key.has_value()) {
      AttachKey(std::move(node));
    } else {
      AttachValue(std::move(node));
    }
  }

  void AttachKey(YamlNode key) {
    if (key.kind != YamlNode::Kind::kScalar) {
      Fail(key.place, "a key must be a word");
      return;
    }
    open_.back().key = std::move(key);
  }

  void AttachValue(YamlNode value) {
    std::vector<YamlNode>& items = open_.back().node.items;
    YamlNode key = *std::exchange(open_.back().key, std::nullopt);
    const auto first = std::find_if(
        items.begin(), items.end(),
        [&](const YamlNode& item) { return item.key == key.text; });
    if (first != items.end()) {
      diagnostics_.Add(key.place,
                       absl::StrCat("duplicate key ", Quoted(key.text),
                                    "; first in line ", first->key_place.line));
      return;
    }
    value.key = std::move(key.text);
    value.key_place = key.place;
    items.push_back(std::move(value));
  }

  Diagnostics& diagnostics_;
  std::vector<Frame> open_;
  YamlNode root_ = {.kind = YamlNode::Kind::kMap, .place = {1, 1}};
  int num_documents_ = 0;
  int num_nodes_ = 0;
  bool failed_ = false;
};

// The position of the first byte that text does not have: of a control
// character, or not UTF-8. npos: none.
size_t FindForbidden(std::string_view yaml) {
  size_t at = 0;
  while (at < yaml.size()) {
    const auto byte = static_cast<unsigned char>(yaml[at]);
    if (byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r') return at;
    const size_t length = base::Utf8Length(yaml.substr(at));
    if (length == 0) return at;
    at += length;
  }
  return std::string_view::npos;
}

// False, with an error, if the text is too long or is not text: the parser
// would take 0x04 for the end of the file.
bool CheckBytes(std::string_view yaml, Diagnostics& diagnostics) {
  if (yaml.size() > kMaxYamlBytes) {
    diagnostics.Add({.line = 1, .column = 1},
                    absl::StrCat("larger than ", kMaxYamlBytes, " bytes"));
    return false;
  }
  const size_t bad = FindForbidden(yaml);
  if (bad == std::string_view::npos) return true;
  const std::string_view before = yaml.substr(0, bad);
  const auto line = std::count(before.begin(), before.end(), '\n');
  diagnostics.Add(
      {.line = static_cast<int>(line) + 1,
       .column = static_cast<int>(bad - (before.rfind('\n') + 1)) + 1},
      absl::StrFormat("byte 0x%02x is not allowed: expected UTF-8 text",
                      static_cast<unsigned char>(yaml[bad])));
  return false;
}

// The commonest reason why something is not YAML is the one that nobody sees.
const char* TabHint(std::string_view yaml) {
  return yaml.starts_with('\t') || yaml.find("\n\t") != std::string_view::npos
             ? "; indent with spaces, not with tabs"
             : "";
}

}  // namespace

std::optional<YamlNode> ParseYaml(std::string_view yaml,
                                  Diagnostics& diagnostics) {
  if (!CheckBytes(yaml, diagnostics)) return std::nullopt;
  TreeBuilder builder(diagnostics);
  // yaml-cpp throws; its exceptions end here.
  try {
    std::istringstream stream{std::string(yaml)};
    YAML::Parser parser(stream);
    // A stray comma is an empty document to yaml-cpp, again and again.
    while (!builder.failed() && parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& error) {
    diagnostics.Add(PlaceOf(error.mark),
                    absl::StrCat("not YAML: ", error.msg, TabHint(yaml)));
    return std::nullopt;
  } catch (const std::exception& error) {
    diagnostics.Add({}, absl::StrCat("cannot be read: ", error.what()));
    return std::nullopt;
  }
  return builder.Take();
}

}  // namespace varalign::config
