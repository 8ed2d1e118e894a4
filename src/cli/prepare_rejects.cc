#include "cli/prepare_rejects.h"

#include <string>
#include <utility>

#include "base/json.h"
#include "base/status_macros.h"

namespace varalign::cli {

absl::Status RejectedRows::Add(const std::filesystem::path& file,
                               const data::SourceLine& line,
                               std::string_view reason, Extent extent) {
  if (!writer_.has_value()) {
    ASSIGN_OR_RETURN(base::FileWriter writer, base::FileWriter::Create(path_));
    writer_.emplace(std::move(writer));
  }
  base::Json entry = {{"file", file.string()},
                      {"line", line.number},
                      {"byte_offset", line.byte_offset},
                      {"reason", reason}};
  if (extent == Extent::kResponse) entry["response_only"] = true;
  absl::StatusOr<base::Json> row = base::ParseJson(line.text);
  entry["row"] = row.ok() ? *std::move(row) : base::Json(line.text);
  return writer_->Append(base::DumpJson(entry) + "\n");
}

absl::Status RejectedRows::Commit() {
  return writer_.has_value() ? writer_->Commit() : absl::OkStatus();
}

}  // namespace varalign::cli
