// Lists of names in messages.
#ifndef VARALIGN_BASE_NAME_LIST_H_
#define VARALIGN_BASE_NAME_LIST_H_

#include <string>
#include <vector>

namespace varalign::base {

// "a, b, c and 5 more": the first 20 in order, however many there are. Long
// names are cut and control characters removed, since names come from files.
std::string ListNames(std::vector<std::string> names);

}  // namespace varalign::base

#endif  // VARALIGN_BASE_NAME_LIST_H_
