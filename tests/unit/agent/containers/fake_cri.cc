#include "tests/unit/agent/containers/fake_cri.h"

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "cri_v1.grpc.pb.h"
#include "cri_v1alpha2.grpc.pb.h"

namespace tokenwatch {
namespace {

namespace cri = runtime::v1;

}  // namespace

struct FakeCri::State {
  grpc::Status Version(grpc::ServerContext* context, cri::VersionResponse* response) {
    Begin(context);
    response->set_runtime_name("fake");
    response->set_runtime_version("1.0");
    return grpc::Status::OK;
  }

  grpc::Status List(grpc::ServerContext* context, const cri::ListContainersRequest& request,
                    cri::ListContainersResponse* response) {
    Begin(context);
    const absl::MutexLock lock(&mutex);
    for (const auto& [id, container] : containers) {
      if (!id.starts_with(request.filter().id())) continue;
      cri::Container* item = response->add_containers();
      item->set_id(confused ? "another" : id);
      item->set_pod_sandbox_id(container.sandbox);
      item->mutable_metadata()->set_name(container.name);
      // As containerd does.
      item->mutable_image()->set_image("sha256:0123");
    }
    return grpc::Status::OK;
  }

  grpc::Status Status(grpc::ServerContext* context, const cri::ContainerStatusRequest& request,
                      cri::ContainerStatusResponse* response) {
    Begin(context);
    const absl::MutexLock lock(&mutex);
    const auto found = containers.find(request.container_id());
    if (found == containers.end()) return {grpc::StatusCode::NOT_FOUND, "no such container"};
    cri::ContainerStatus* status = response->mutable_status();
    status->set_id(found->first);
    status->mutable_metadata()->set_name(found->second.name);
    status->mutable_image()->set_image(found->second.image);
    status->set_image_ref(found->second.image_ref);
    return grpc::Status::OK;
  }

  grpc::Status Pods(grpc::ServerContext* context, const cri::ListPodSandboxRequest& request,
                    cri::ListPodSandboxResponse* response) {
    Begin(context);
    const absl::MutexLock lock(&mutex);
    for (const auto& [id, pod] : pods) {
      cri::PodSandbox item;
      item.set_id(id);
      item.mutable_metadata()->set_name(pod.name);
      item.mutable_metadata()->set_namespace_(pod.namespace_name);
      item.mutable_metadata()->set_uid(pod.uid);
      item.mutable_labels()->insert(pod.labels.begin(), pod.labels.end());
      (*item.mutable_labels())["io.kubernetes.pod.uid"] = pod.uid;
      (*item.mutable_labels())["io.kubernetes.pod.name"] = pod.name;
      bool fits = id.starts_with(request.filter().id());
      for (const auto& [name, value] : request.filter().label_selector()) {
        const auto label = item.labels().find(name);
        fits = fits && label != item.labels().end() && label->second == value;
      }
      if (fits) *response->add_items() = item;
    }
    return grpc::Status::OK;
  }

  void Begin(grpc::ServerContext* context) {
    ++calls;
    const absl::Time until = absl::Now() + absl::Milliseconds(delay_ms.load());
    while (absl::Now() < until && !context->IsCancelled()) absl::SleepFor(absl::Milliseconds(5));
  }

  std::string path;
  std::unique_ptr<grpc::Service> service;
  std::unique_ptr<grpc::Server> server;
  std::atomic<uint64_t> calls{0};
  std::atomic<int64_t> delay_ms{0};
  std::atomic<bool> confused{false};
  absl::Mutex mutex;
  std::map<std::string, Pod> pods ABSL_GUARDED_BY(mutex);
  std::map<std::string, Container> containers ABSL_GUARDED_BY(mutex);
};

namespace {

// Either interface before the same state.
template <typename Service, typename State>
class Serving : public Service {
 public:
  explicit Serving(State* state) : state_(state) {}
  grpc::Status Version(grpc::ServerContext* context, const cri::VersionRequest*,
                       cri::VersionResponse* response) override {
    return state_->Version(context, response);
  }
  grpc::Status ListContainers(grpc::ServerContext* context,
                              const cri::ListContainersRequest* request,
                              cri::ListContainersResponse* response) override {
    return state_->List(context, *request, response);
  }
  grpc::Status ContainerStatus(grpc::ServerContext* context,
                               const cri::ContainerStatusRequest* request,
                               cri::ContainerStatusResponse* response) override {
    return state_->Status(context, *request, response);
  }
  grpc::Status ListPodSandbox(grpc::ServerContext* context,
                              const cri::ListPodSandboxRequest* request,
                              cri::ListPodSandboxResponse* response) override {
    return state_->Pods(context, *request, response);
  }

 private:
  State* state_;
};

}  // namespace

FakeCri::FakeCri(std::string path, Api api) : state_(std::make_unique<State>()) {
  state_->path = std::move(path);
  using V1 = Serving<runtime::v1::RuntimeService::Service, State>;
  using V1Alpha2 = Serving<runtime::v1alpha2::RuntimeService::Service, State>;
  if (api == Api::kV1) {
    state_->service = std::make_unique<V1>(state_.get());
  } else {
    state_->service = std::make_unique<V1Alpha2>(state_.get());
  }
  Start();
}

FakeCri::~FakeCri() { Stop(); }

void FakeCri::Stop() {
  if (state_->server == nullptr) return;
  state_->server->Shutdown(std::chrono::system_clock::now());
  state_->server->Wait();
  state_->server.reset();
}

void FakeCri::Start() {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + state_->path, grpc::InsecureServerCredentials());
  builder.RegisterService(state_->service.get());
  state_->server = builder.BuildAndStart();
}

void FakeCri::AddPod(const std::string& sandbox, const Pod& pod) {
  const absl::MutexLock lock(&state_->mutex);
  state_->pods[sandbox] = pod;
}

void FakeCri::AddContainer(const std::string& id, const Container& container) {
  const absl::MutexLock lock(&state_->mutex);
  state_->containers[id] = container;
}

void FakeCri::Remove(const std::string& id) {
  const absl::MutexLock lock(&state_->mutex);
  state_->pods.erase(id);
  state_->containers.erase(id);
}

void FakeCri::SetDelay(absl::Duration delay) {
  state_->delay_ms = absl::ToInt64Milliseconds(delay);
}
void FakeCri::SetConfused(bool confused) { state_->confused = confused; }
uint64_t FakeCri::calls() const { return state_->calls; }

}  // namespace tokenwatch
