// Names of columns that differ from ours: `--columns prompt=question`.
#ifndef VARALIGN_DATA_ROW_COLUMNS_H_
#define VARALIGN_DATA_ROW_COLUMNS_H_

#include <map>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "base/json.h"

namespace varalign::data {

// Our name -> the name in the file.
using RowColumns = std::map<std::string, std::string>;

// From "ours=theirs" each. InvalidArgument for another form, or for a name of
// ours that no format has.
absl::StatusOr<RowColumns> ParseColumns(std::span<const std::string> columns);

// `row` with its columns under our names. A name of ours that is mapped to
// another column no longer stands for itself.
base::Json RenameColumns(base::Json row, const RowColumns& columns);

}  // namespace varalign::data

#endif  // VARALIGN_DATA_ROW_COLUMNS_H_
