/* The C border of the Rust library in src/text/rust. Only the .cc files of
 * src/text include it; everybody else has text/tokenizer.h.
 *
 * Results. Each fallible function returns VARALIGN_TEXT_OK and sets *out, or
 * returns another code and sets *error to a message; the other one is left
 * untouched. No panic crosses the border: it returns VARALIGN_TEXT_PANIC, and
 * the object it was called on may still be used and freed.
 *
 * Ownership. VaralignTextView is lent for the call. VaralignText and
 * VaralignIds, messages included, are the caller's to free, once each, with
 * varalign_text_free and varalign_ids_free; an empty one (null data) may be
 * freed too. Objects are freed with their own _free, which takes null.
 *
 * Null. `data` of a view may be null if its size is 0. Every other pointer
 * must be valid.
 *
 * Threads. Objects are immutable: any number of threads may use one. */
#ifndef VARALIGN_TEXT_FFI_H_
#define VARALIGN_TEXT_FFI_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  VARALIGN_TEXT_OK = 0,
  VARALIGN_TEXT_INVALID = 1, /* the input is refused; the message says why */
  VARALIGN_TEXT_PANIC = 2    /* a defect of the library */
};

typedef struct VaralignTokens VaralignTokens;
typedef struct VaralignTemplate VaralignTemplate;

typedef struct VaralignTextView {
  const char* data;
  size_t size;
} VaralignTextView;

typedef struct VaralignText {
  char* data;
  size_t size;
} VaralignText;

typedef struct VaralignIds {
  uint32_t* data;
  size_t size;
} VaralignIds;

/* `json` is a tokenizer.json with at most `max_entries` tokens. */
int32_t varalign_tokens_new(VaralignTextView json, size_t max_entries,
                            VaralignTokens** out, VaralignText* error);
void varalign_tokens_free(VaralignTokens* tokens);
/* Largest id + 1, added tokens included. */
uint32_t varalign_tokens_vocabulary_size(const VaralignTokens* tokens);
/* Texts of the special tokens that were added, as a JSON list. */
int32_t varalign_tokens_special_texts(const VaralignTokens* tokens,
                                      VaralignText* out, VaralignText* error);
int32_t varalign_tokens_id(const VaralignTokens* tokens, VaralignTextView token,
                           uint32_t* out, VaralignText* error);
int32_t varalign_tokens_encode(const VaralignTokens* tokens,
                               VaralignTextView text,
                               int32_t add_special_tokens, VaralignIds* out,
                               VaralignText* error);
/* The ids that `text` adds to those of `before`, no special tokens. *stable is
 * 0, and *out empty, where the ids of `before` do not begin those of both. */
int32_t varalign_tokens_encode_behind(const VaralignTokens* tokens,
                                      VaralignTextView before,
                                      VaralignTextView text, VaralignIds* out,
                                      int32_t* stable, VaralignText* error);
/* Ids that the vocabulary lacks decode to nothing. */
int32_t varalign_tokens_decode(const VaralignTokens* tokens,
                               const uint32_t* ids, size_t num_ids,
                               int32_t skip_special_tokens, VaralignText* out,
                               VaralignText* error);

/* From a tokenizer_config.json (or special_tokens_map.json), as JSON:
 * {"special_tokens":{"bos_token":"<s>",...},"chat_template":"..."}. */
int32_t varalign_tokenizer_config_read(VaralignTextView config,
                                       VaralignText* out, VaralignText* error);

/* `fuel` and `output_bytes` bound each rendering. */
int32_t varalign_template_new(VaralignTextView source, uint64_t fuel,
                              size_t output_bytes, VaralignTemplate** out,
                              VaralignText* error);
void varalign_template_free(VaralignTemplate* chat_template);
/* `variables` is a JSON object: messages, add_generation_prompt, bos_token and
 * so on. `local_seconds` is what strftime_now shows: seconds since 1970 by the
 * local wall clock. */
int32_t varalign_template_render(const VaralignTemplate* chat_template,
                                 VaralignTextView variables,
                                 int64_t local_seconds, VaralignText* out,
                                 VaralignText* error);

void varalign_text_free(VaralignText text);
void varalign_ids_free(VaralignIds ids);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* VARALIGN_TEXT_FFI_H_ */
