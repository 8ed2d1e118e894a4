// Who is told where in the model a pass is.
//
// The parameters of a decoder stand in blocks: the embedding, each layer, and
// the final norm with the head. Training over several ranks brings a block's
// parameters just before the forward pass reads them, and takes its gradients
// away as soon as the backward pass has them all.
#ifndef VARALIGN_MODEL_BLOCK_WATCHER_H_
#define VARALIGN_MODEL_BLOCK_WATCHER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace varalign::model {

struct Parameters;

class BlockWatcher {
 public:
  virtual ~BlockWatcher() = default;

  // A forward pass, recording gradients or not, is about to read the block.
  // May block.
  virtual void BeforeForward(size_t block) = 0;

  // The backward pass has added the last gradient of the block. Called in
  // descending order, once a block and pass, on the thread of the backward
  // pass. Not called for block 0, nor where all parameters of the blocks before
  // are frozen: such gradients are complete when the pass is over.
  virtual void AfterBackward(size_t block) = 0;
};

// A range of the flat buffer.
struct ParameterBlock {
  std::string name;  // "layer 3"
  int64_t begin = 0;
  int64_t end = 0;
  bool is_table = false;  // it holds a [V, H] matrix: embedding or head
};

// Embedding, layers, final norm with the head; they tile the flat buffer. Of a
// model with an adapter (model/adapter.h) nothing of the embedding is in it,
// and of the head at most the padding.
std::vector<ParameterBlock> BlocksOf(const Parameters& parameters);

}  // namespace varalign::model

#endif  // VARALIGN_MODEL_BLOCK_WATCHER_H_
