#include "base/json.h"

#include <cstddef>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace varalign::base {
namespace {

constexpr size_t kMaxDepth = 64;

// Reads a text and says how far reading has come, which nlohmann's library
// tells only for errors of its own.
class CountingIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountingIterator(const char* at, size_t* num_read)
      : at_(at), num_read_(num_read) {}

  reference operator*() const { return *at_; }
  CountingIterator& operator++() {
    ++at_;
    ++*num_read_;
    return *this;
  }
  CountingIterator operator++(int) {
    CountingIterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const CountingIterator& other) const {
    return at_ == other.at_;
  }
  bool operator!=(const CountingIterator& other) const {
    return at_ != other.at_;
  }

 private:
  const char* at_;
  size_t* num_read_;
};

// "[json.exception.parse_error.101] parse error at line 1, column 2: syntax
// error ..." from "syntax error" on: we say the place ourselves.
std::string WithoutLibraryWords(std::string text) {
  const size_t name_end = text.find("] ");
  if (!text.starts_with('[') || name_end == std::string::npos) return text;
  text.erase(0, name_end + 2);
  const size_t place_end = text.find(": ");
  if (!text.starts_with("parse error") || place_end == std::string::npos) {
    return text;
  }
  return text.substr(place_end + 2);
}

// Builds the document from the parser's events and stops it at the first thing
// that our rules forbid, so that no deep value ever exists: copying or dumping
// one would overflow the stack.
class Builder : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return Add(nullptr); }
  bool boolean(bool value) override { return Add(value); }
  bool number_integer(int64_t value) override { return Add(value); }
  bool number_unsigned(uint64_t value) override { return Add(value); }
  bool string(std::string& value) override { return Add(std::move(value)); }

  bool number_float(double value, const std::string& digits) override {
    if (digits.find_first_of(".eE") == std::string::npos) {
      return Fail(absl::StrCat("integer does not fit 64 bits: ", digits));
    }
    return Add(value);
  }

  bool binary(Json::binary_t&) override { return Fail("binary value"); }

  bool start_object(size_t) override { return Open(Json::object()); }
  bool end_object() override { return CloseInnermost(); }
  bool start_array(size_t) override { return Open(Json::array()); }
  bool end_array() override { return CloseInnermost(); }

  bool key(std::string& value) override {
    if (!open_.back().keys.insert(value).second) {
      return Fail(absl::StrCat("duplicate key: ", DumpJson(value)));
    }
    key_ = std::move(value);
    return true;
  }

  bool parse_error(size_t, const std::string&,
                   const Json::exception& error) override {
    return Fail(WithoutLibraryWords(error.what()));
  }

  Json& document() { return document_; }
  const std::string& error() const { return error_; }

 private:
  struct Container {
    Json* value;
    absl::flat_hash_set<std::string> keys;  // of an object, so far
  };

  bool Fail(std::string reason) {
    error_ = std::move(reason);
    return false;
  }

  bool Add(Json value) {
    Place(std::move(value));
    return true;
  }

  Json* Place(Json value) {
    if (open_.empty()) {
      document_ = std::move(value);
      return &document_;
    }
    Json& parent = *open_.back().value;
    if (parent.is_array()) {
      auto& items = parent.get_ref<Json::array_t&>();
      return &items.emplace_back(std::move(value));
    }
    // Past ordered_map's own insertion, which searches all keys each time.
    std::vector<Json::object_t::value_type>& members =
        parent.get_ref<Json::object_t&>();
    return &members.emplace_back(std::move(key_), std::move(value)).second;
  }

  bool Open(Json container) {
    if (open_.size() == kMaxDepth) {
      return Fail(absl::StrCat("nested deeper than ", kMaxDepth));
    }
    // The parent takes no further member before this one is closed, so the
    // address stays.
    open_.push_back({Place(std::move(container)), {}});
    return true;
  }

  bool CloseInnermost() {
    open_.pop_back();
    return true;
  }

  Json document_;
  std::vector<Container> open_;  // outermost first
  std::string key_;
  std::string error_;
};

}  // namespace

absl::StatusOr<Json> ParseJson(std::string_view text) {
  Builder builder;
  size_t num_read = 0;
  const CountingIterator begin(text.data(), &num_read);
  const CountingIterator end(text.data() + text.size(), &num_read);
  if (!Json::sax_parse(begin, end, &builder)) {
    return absl::InvalidArgumentError(
        absl::StrCat("bad JSON at byte ", num_read, ": ", builder.error()));
  }
  return std::move(builder.document());
}

std::string DumpJson(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string DumpJsonPretty(const Json& value) {
  return value.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace varalign::base
