#include "reward_server/model_service.h"

#include <algorithm>
#include <limits>

#include "base/version.h"

namespace varalign::reward_server {
namespace {

void Describe(const ModelDescription& model, v1::ModelInfo* info) {
  info->set_fingerprint(model.fingerprint);
  info->set_vocabulary_size(model.vocabulary_size);
  info->set_num_parameters(model.num_parameters);
  info->set_dtype(model.dtype);
  info->set_tokenizer_sha256(model.tokenizer_sha256);
  info->set_template_sha256(model.template_sha256);
}

v1::ServerInfo Describe(const ServiceContext& context) {
  v1::ServerInfo info;
  info.set_version(base::kVersion);
  info.set_fingerprint(context.fingerprint);
  uint64_t max_row_tokens = std::numeric_limits<uint64_t>::max();
  if (const auto& model = context.models.reward) {
    Describe(*model, info.mutable_reward_model());
    max_row_tokens = std::min(max_row_tokens, model->max_positions);
  }
  if (const auto& model = context.models.reference) {
    Describe(*model, info.mutable_reference_model());
    max_row_tokens = std::min(max_row_tokens, model->max_positions);
  }
  info.set_max_row_tokens(max_row_tokens);
  info.set_max_inflight_tokens(context.max_inflight_tokens);
  info.set_max_pairs(context.limits.max_pairs);
  return info;
}

}  // namespace

ModelService::ModelService(const ServiceContext& context)
    : server_info_(Describe(context)) {}

grpc::ServerUnaryReactor* ModelService::GetServerInfo(
    grpc::CallbackServerContext* call,
    const v1::GetServerInfoRequest* /*request*/, v1::ServerInfo* response) {
  *response = server_info_;
  grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

}  // namespace varalign::reward_server
