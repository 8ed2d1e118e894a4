// GetServerInfo: which models, under which limits.
#ifndef VARALIGN_REWARD_SERVER_MODEL_SERVICE_H_
#define VARALIGN_REWARD_SERVER_MODEL_SERVICE_H_

#include "grpcpp/support/server_callback.h"
#include "reward_server/service_context.h"
#include "varalign/v1/reward.grpc.pb.h"

namespace varalign::reward_server {

// Thread safe. `context` outlives it.
class ModelService final : public v1::ModelService::CallbackService {
 public:
  explicit ModelService(const ServiceContext& context);

  grpc::ServerUnaryReactor* GetServerInfo(
      grpc::CallbackServerContext* call,
      const v1::GetServerInfoRequest* request,
      v1::ServerInfo* response) override;

 private:
  const v1::ServerInfo server_info_;
};

}  // namespace varalign::reward_server

#endif  // VARALIGN_REWARD_SERVER_MODEL_SERVICE_H_
