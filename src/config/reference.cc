#include "config/reference.h"

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "config/field.h"
#include "config/value_text.h"
#include "google/protobuf/compiler/importer.h"
#include "google/protobuf/descriptor_database.h"
#include "varalign/v1/run_config.pb.h"

namespace varalign::config {
namespace {

namespace pb = google::protobuf;

constexpr char kHead[] =
    R"(# Configuration

<!-- Made from proto/varalign/v1/run_config.proto by tools/make_config_reference;
     a test compares. Change the comments there. -->

A run is one YAML file. `varalign train FILE` and `varalign submit FILE` read
it, `--set key.path=value` changes single values, `varalign config print FILE`
shows every value with its origin, `varalign config validate FILE` tells all
errors with line and column, `varalign config schema` prints a JSON Schema for
editors.

A value is read as its key's type says: whole numbers have no leading zeros,
shares are written `0.03` or `3%`, sizes in bytes or as `16MiB`, durations have
their unit (`30s`, `2m`, `1h`). Relative paths start at the directory of the
file, in `--set` at the working directory. Unknown and duplicate keys, aliases,
anchors and tags are errors. A file has at most 1 MiB, 32 levels and 10,000
nodes.
)";

class ParseErrors final : public pb::compiler::MultiFileErrorCollector {
 public:
  void AddError(const std::string& file, int line, int column,
                const std::string& message) override {
    absl::StrAppend(&text, file, ":", line + 1, ":", column + 1, ": ", message,
                    "\n");
  }

  std::string text;
};

// The comment in front of a declaration, without the space behind "//".
template <typename Declaration>
std::string CommentOf(const Declaration& declaration) {
  pb::SourceLocation location;
  if (!declaration.GetSourceLocation(&location)) return "";
  return absl::StrReplaceAll(absl::StripPrefix(location.leading_comments, " "),
                             {{"\n ", "\n"}});
}

std::string OneLine(const std::string& comment) {
  const std::vector<std::string> words =
      absl::StrSplit(comment, absl::ByAnyChar(" \n"), absl::SkipEmpty());
  return absl::StrJoin(words, " ");
}

// A comment as paragraphs; one whose columns are aligned stays as it is.
std::string Paragraphs(const std::string& comment) {
  std::string text;
  for (const absl::string_view paragraph :
       absl::StrSplit(comment, "\n\n", absl::SkipWhitespace())) {
    const bool aligned = absl::StrContains(paragraph, "  ");
    absl::StrAppend(&text, aligned ? "```\n" : "",
                    absl::StripTrailingAsciiWhitespace(paragraph), "\n",
                    aligned ? "```\n" : "", "\n");
  }
  return text;
}

std::string Cell(const std::string& text) {
  return absl::StrReplaceAll(text, {{"|", "\\|"}});
}

std::string RangeText(const v1::FieldRule& rule) {
  std::vector<std::string> parts;
  if (rule.has_above()) parts.push_back(absl::StrCat("> ", rule.above()));
  if (rule.has_min()) parts.push_back(absl::StrCat(">= ", rule.min()));
  if (rule.has_max()) parts.push_back(absl::StrCat("<= ", rule.max()));
  return absl::StrJoin(parts, ", ");
}

std::string UnitText(v1::Unit unit) {
  switch (unit) {
    case v1::UNIT_TOKENS:
      return "tokens";
    case v1::UNIT_EXAMPLES:
      return "examples";
    case v1::UNIT_STEPS:
      return "steps";
    case v1::UNIT_THREADS:
      return "threads";
    default:
      return "";
  }
}

std::string TypeText(const FieldDescriptor& field) {
  const std::string unit = UnitText(RuleOf(field).unit());
  std::string type = field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM
                         ? "one of the words below"
                     : unit.empty() ? ExpectedText(field)
                                    : unit;
  const std::string range = RangeText(RuleOf(field));
  if (!range.empty()) absl::StrAppend(&type, ", ", range);
  return type;
}

std::string DefaultText(const FieldDescriptor& field) {
  const v1::FieldRule& rule = RuleOf(field);
  if (rule.required()) return "required";
  if (rule.default_value().empty()) return "none";
  return absl::StrCat("`", rule.default_value(), "`",
                      PresetDecides(field) ? " or the preset's" : "");
}

// Comments come from the parsed files, rules from the types in this program:
// the parsed files' options are of no type that it knows.
struct Section {
  const Descriptor& source;
  const Descriptor& type;
};

std::string ValueRows(const Section& section) {
  std::string rows;
  for (int i = 0; i < section.type.field_count(); ++i) {
    const FieldDescriptor& field = *section.type.field(i);
    if (IsSection(field)) continue;
    absl::StrAppend(&rows, "| `", field.name(), "` | ", DefaultText(field),
                    " | ", Cell(TypeText(field)), " | ",
                    Cell(OneLine(CommentOf(*section.source.field(i)))), " |\n");
  }
  return rows;
}

std::string Words(const Section& section) {
  std::string text;
  for (int i = 0; i < section.type.field_count(); ++i) {
    const FieldDescriptor& field = *section.type.field(i);
    if (field.enum_type() == nullptr) continue;
    absl::StrAppend(&text, "\n`", field.name(), "`:\n\n");
    for (const auto* value : WritableValues(*field.enum_type())) {
      const std::string comment =
          CommentOf(*section.source.field(i)->enum_type()->FindValueByNumber(
              value->number()));
      absl::StrAppend(&text, "* `", EnumWord(*value), "`",
                      comment.empty() ? "" : ": ", comment, "\n");
    }
  }
  return text;
}

void WriteSection(const Section& section, const std::string& path,
                  std::string& text) {
  absl::StrAppend(&text, "\n## ", path.empty() ? "Top level" : path, "\n\n");
  // The root's comment speaks to programmers; kHead stands in its place.
  if (!path.empty()) text += Paragraphs(CommentOf(section.source));
  absl::StrAppend(&text, "| key | default | value | meaning |\n",
                  "|---|---|---|---|\n", ValueRows(section), Words(section));
  for (int i = 0; i < section.type.field_count(); ++i) {
    const FieldDescriptor& field = *section.type.field(i);
    if (!IsSection(field)) continue;
    WriteSection(
        {*section.source.field(i)->message_type(), *field.message_type()},
        JoinPath(path, field.name()), text);
  }
}

}  // namespace

absl::StatusOr<std::string> ConfigReference(
    const std::filesystem::path& proto_root) {
  pb::compiler::DiskSourceTree tree;
  tree.MapPath("", proto_root.string());
  // For google/protobuf/*.proto. It has our files too, without comments.
  pb::DescriptorPoolDatabase library(*pb::DescriptorPool::generated_pool());
  pb::compiler::SourceTreeDescriptorDatabase files(&tree, &library);
  ParseErrors errors;
  files.RecordErrorsTo(&errors);
  pb::DescriptorPool pool(&files, files.GetValidationErrorCollector());
  const std::string name = v1::RunConfig::descriptor()->file()->name();
  const pb::FileDescriptor* file = std::filesystem::exists(proto_root / name)
                                       ? pool.FindFileByName(name)
                                       : nullptr;
  if (file == nullptr || !errors.text.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot parse ", name, " below ", proto_root.string(),
                     "\n", errors.text));
  }
  const Descriptor& source =
      *file->FindMessageTypeByName(v1::RunConfig::descriptor()->name());
  std::string text = kHead;
  WriteSection({source, *v1::RunConfig::descriptor()}, "", text);
  return text;
}

}  // namespace varalign::config
