// A container runtime's socket for the scenario of pods: cri_server PATH. Told on standard input, a
// line of JSON each, what there is; answers each line with "ok".
//
//   {"pod": ID, "name", "namespace", "uid", "labels"}
//   {"container": ID, "sandbox", "name", "image"}
//   {"remove": ID}
//   {"delaySeconds": N}
//   {"api": "v1" | "v1alpha2"}, before all others
//   {"stop": true}, {"start": true}
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/unit/agent/containers/fake_cri.h"

namespace {

using nlohmann::json;

std::string Text(const json& line, const char* name) { return line.value(name, std::string()); }

}  // namespace

int main(int argc, char** argv) {
  using tokenwatch::FakeCri;
  if (argc != 2) {
    std::cerr << "usage: cri_server PATH\n";
    return 2;
  }
  std::unique_ptr<FakeCri> cri;
  const auto server = [&](FakeCri::Api api = FakeCri::Api::kV1) {
    if (cri == nullptr) cri = std::make_unique<FakeCri>(argv[1], api);
    return cri.get();
  };
  for (std::string text; std::getline(std::cin, text);) {
    const json line = json::parse(text);
    if (line.contains("api")) {
      server(Text(line, "api") == "v1" ? FakeCri::Api::kV1 : FakeCri::Api::kV1Alpha2);
    } else if (line.contains("pod")) {
      server()->AddPod(Text(line, "pod"),
                       {.name = Text(line, "name"),
                        .namespace_name = Text(line, "namespace"),
                        .uid = Text(line, "uid"),
                        .labels = line.value("labels", std::map<std::string, std::string>())});
    } else if (line.contains("container")) {
      server()->AddContainer(Text(line, "container"), {.sandbox = Text(line, "sandbox"),
                                                       .name = Text(line, "name"),
                                                       .image = Text(line, "image")});
    } else if (line.contains("remove")) {
      server()->Remove(Text(line, "remove"));
    } else if (line.contains("delaySeconds")) {
      server()->SetDelay(absl::Seconds(line.at("delaySeconds").get<double>()));
    } else if (line.contains("stop")) {
      server()->Stop();
    } else if (line.contains("start")) {
      server()->Start();
    }
    std::cout << "ok\n" << std::flush;
  }
  return 0;
}
