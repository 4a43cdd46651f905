#include "agent/containers/cri_client.h"

#include <grpcpp/grpcpp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/capture/unique_fd.h"
#include "cri_v1.grpc.pb.h"
#include "cri_v1alpha2.grpc.pb.h"

namespace tokenwatch {
namespace {

namespace cri = runtime::v1;

constexpr char kPodUidLabel[] = "io.kubernetes.pod.uid";
constexpr size_t kTextMax = 512;  // image names have up to 255 characters and a digest

std::string Bounded(const std::string& text) { return text.substr(0, kTextMax); }

bool IsImageId(std::string_view image) {
  return image.empty() || image.starts_with("sha256:") ||
         image.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// gRPC has one word for all that keeps a connection from being made; the kernel knows better.
absl::Status CheckSocket(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::UnavailableError(absl::StrCat("unix:", path, " is too long for a socket's path"));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (fd.valid() &&
      connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
    return absl::OkStatus();
  }
  const int error = errno;
  if (error == EAGAIN) {
    return absl::DeadlineExceededError(absl::StrCat("unix:", path, " takes no more connections"));
  }
  return absl::UnavailableError(
      absl::StrCat("unix:", path, " cannot be reached (", std::strerror(error), ")"));
}

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& path) {
  grpc::ChannelArguments arguments;
  // Servers in Go refuse what this version of gRPC makes of a socket's path.
  arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxReceiveMessageSize(CriClient::kMaxAnswerBytes);
  return grpc::CreateCustomChannel("unix:" + path, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

// The four calls, under either name.
class CriClient::Api {
 public:
  virtual ~Api() = default;
  virtual grpc::Status Call(grpc::ClientContext* context, const cri::VersionRequest& request,
                            cri::VersionResponse* response) = 0;
  virtual grpc::Status Call(grpc::ClientContext* context, const cri::ListContainersRequest& request,
                            cri::ListContainersResponse* response) = 0;
  virtual grpc::Status Call(grpc::ClientContext* context,
                            const cri::ContainerStatusRequest& request,
                            cri::ContainerStatusResponse* response) = 0;
  virtual grpc::Status Call(grpc::ClientContext* context, const cri::ListPodSandboxRequest& request,
                            cri::ListPodSandboxResponse* response) = 0;
};

template <typename Service>
class CriClient::ApiOf : public Api {
 public:
  explicit ApiOf(const std::shared_ptr<grpc::Channel>& channel)
      : stub_(Service::NewStub(channel)) {}
  grpc::Status Call(grpc::ClientContext* context, const cri::VersionRequest& request,
                    cri::VersionResponse* response) override {
    return stub_->Version(context, request, response);
  }
  grpc::Status Call(grpc::ClientContext* context, const cri::ListContainersRequest& request,
                    cri::ListContainersResponse* response) override {
    return stub_->ListContainers(context, request, response);
  }
  grpc::Status Call(grpc::ClientContext* context, const cri::ContainerStatusRequest& request,
                    cri::ContainerStatusResponse* response) override {
    return stub_->ContainerStatus(context, request, response);
  }
  grpc::Status Call(grpc::ClientContext* context, const cri::ListPodSandboxRequest& request,
                    cri::ListPodSandboxResponse* response) override {
    return stub_->ListPodSandbox(context, request, response);
  }

 private:
  std::unique_ptr<typename Service::Stub> stub_;
};

CriClient::CriClient(std::string path, absl::Duration deadline)
    : path_(std::move(path)), deadline_(deadline) {}

CriClient::~CriClient() = default;

template <typename Request, typename Response>
absl::Status CriClient::Call(const char* name, const Request& request, Response* response) {
  ++calls_;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(deadline_));
  const grpc::Status status = api_->Call(&context, request, response);
  switch (status.error_code()) {
    case grpc::StatusCode::OK:
      return absl::OkStatus();
    case grpc::StatusCode::NOT_FOUND:
      return absl::NotFoundError(name);
    case grpc::StatusCode::UNIMPLEMENTED:
      return absl::UnimplementedError(name);
    case grpc::StatusCode::UNAVAILABLE:
      return absl::UnavailableError(
          absl::StrCat("unix:", path_, " cannot be reached (", status.error_message(), ")"));
    case grpc::StatusCode::DEADLINE_EXCEEDED:
      return absl::DeadlineExceededError(absl::StrCat("unix:", path_, " did not answer ", name,
                                                      " within ", absl::FormatDuration(deadline_)));
    default:
      return absl::DataLossError(absl::StrCat("unix:", path_, " answers ", name, " with \"",
                                              status.error_message(), "\""));
  }
}

absl::StatusOr<std::unique_ptr<CriClient>> CriClient::Connect(const std::string& path,
                                                              absl::Duration deadline) {
  if (absl::Status status = CheckSocket(path); !status.ok()) return status;
  auto client = std::unique_ptr<CriClient>(new CriClient(path, deadline));
  const std::shared_ptr<grpc::Channel> channel = MakeChannel(path);
  const char* api = "runtime.v1";
  client->api_ = std::make_unique<ApiOf<runtime::v1::RuntimeService>>(channel);
  cri::VersionResponse version;
  absl::Status status = client->Call("Version", cri::VersionRequest(), &version);
  if (absl::IsUnimplemented(status)) {
    api = "runtime.v1alpha2";
    client->api_ = std::make_unique<ApiOf<runtime::v1alpha2::RuntimeService>>(channel);
    status = client->Call("Version", cri::VersionRequest(), &version);
  }
  // Something listens there, so whatever went wrong but for time is its answer.
  if (absl::IsUnimplemented(status) || absl::IsUnavailable(status) ||
      (status.ok() && version.runtime_name().empty())) {
    return absl::DataLossError(absl::StrCat("unix:", path, " is no container runtime's socket"));
  }
  if (!status.ok()) return status;
  client->runtime_ = absl::StrCat(Bounded(version.runtime_name()), " ",
                                  Bounded(version.runtime_version()), ", ", api);
  return client;
}

absl::StatusOr<std::optional<CriContainer>> CriClient::Describe(const ContainerKey& key) {
  CriContainer found;
  cri::ListPodSandboxRequest pods;
  if (!key.id.empty()) {
    cri::ListContainersRequest request;
    request.mutable_filter()->set_id(key.id);
    cri::ListContainersResponse response;
    if (absl::Status status = Call("ListContainers", request, &response); !status.ok()) {
      return status;
    }
    for (const cri::Container& container : response.containers()) {
      if (container.id() != key.id) continue;
      found.exact = true;
      pods.mutable_filter()->set_id(container.pod_sandbox_id());
      found.container_name = Bounded(container.metadata().name());
      found.image = Bounded(container.image().image());
    }
  }
  if (found.exact) {
    cri::ContainerStatusRequest request;
    request.set_container_id(key.id);
    cri::ContainerStatusResponse response;
    const absl::Status status = Call("ContainerStatus", request, &response);
    // It may have been removed meanwhile; its pod may be there still.
    if (!status.ok() && !absl::IsNotFound(status)) return status;
    const std::string& image = response.status().image().image();
    const std::string& reference = response.status().image_ref();
    if (!IsImageId(image)) {
      found.image = Bounded(image);
    } else if (!IsImageId(reference)) {
      found.image = Bounded(reference);
    }
  } else if (key.pod_uid.empty()) {
    // Its own sandbox, perhaps: a pause container.
    pods.mutable_filter()->set_id(key.id);
  } else {
    // That, or a container that a container of the pod runs.
    (*pods.mutable_filter()->mutable_label_selector())[kPodUidLabel] = key.pod_uid;
  }
  cri::ListPodSandboxResponse response;
  if (absl::Status status = Call("ListPodSandbox", pods, &response); !status.ok()) return status;
  const std::string& wanted = pods.filter().id();
  for (const cri::PodSandbox& pod : response.items()) {
    if (wanted.empty() ? pod.metadata().uid() != key.pod_uid : pod.id() != wanted) continue;
    found.pod = Bounded(pod.metadata().name());
    found.namespace_name = Bounded(pod.metadata().namespace_());
    found.pod_uid = pod.metadata().uid();
    found.labels = {pod.labels().begin(), pod.labels().end()};
    found.exact = found.exact || pod.id() == key.id;
    return found;
  }
  if (!found.exact) return std::nullopt;
  return found;
}

}  // namespace tokenwatch
