#include "agent/token/identity/dpop.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/unit/agent/token/made_up_jwt.h"

namespace tokenwatch {
namespace {

// The key, the token and their hashes are those of RFC 9449 sections 4.1, 6.1 and 7.1.
constexpr std::string_view kToken = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
constexpr char kHash[] = "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo";
constexpr char kKey[] = R"({"kty":"EC","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",)"
                        R"("y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA","crv":"P-256"})";
constexpr char kThumbprint[] = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";

std::string Header(std::string_view key, std::string_view type = "dpop+jwt") {
  return absl::StrCat(R"({"typ":")", std::string(type), R"(","alg":"ES256","jwk":)",
                      std::string(key), "}");
}

std::string Claims(std::string_view hash) {
  return absl::StrCat(R"({"jti":"e1j3V_bKic8-LAEB","htm":"GET","htu":"https://api.example/",)",
                      R"("iat":1562262618,"ath":")", std::string(hash), "\"}");
}

TEST(BindingByProof, AgreesWithTheRfc) {
  EXPECT_EQ(BindingByProof(Jwt(Header(kKey), Claims(kHash)), kToken),
            absl::StrCat("dpop:", kThumbprint));
}

TEST(BindingByProof, KnowsTheKindsOfKeys) {
  const struct {
    std::string_view key, binding;
  } cases[] = {
      // RFC 7638 section 3.1 and RFC 8037 appendix A.3.
      {R"({"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7a)"
       R"(PFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4Qy)"
       R"(Q5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrd)"
       R"(kt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",)"
       R"("e":"AQAB","alg":"RS256","kid":"2011-04-29"})",
       "dpop:NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"},
      {R"({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})",
       "dpop:kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"},
      {R"({"kty":"EC","x":"AA","crv":"P-256"})", ""},
      {R"({"kty":"EC","x":"A\"A","y":"AA","crv":"P-256"})", ""},
      {R"({"kty":"oct","k":"AA"})", ""},
      {R"({})", ""},
      {R"("key")", ""},
  };
  for (const auto& [key, binding] : cases) {
    EXPECT_EQ(BindingByProof(Jwt(Header(key), Claims(kHash)), kToken), binding) << key;
  }
}

TEST(BindingByProof, WantsAProofForThisToken) {
  const std::string good = Jwt(Header(kKey), Claims(kHash));
  EXPECT_EQ(BindingByProof(good, "another token"), "");
  EXPECT_EQ(BindingByProof("", kToken), "");
  EXPECT_EQ(BindingByProof("nonsense", kToken), "");
  EXPECT_EQ(BindingByProof(Jwt(Header(kKey, "at+jwt"), Claims(kHash)), kToken), "");
  EXPECT_EQ(BindingByProof(Jwt(Header(kKey), Claims("")), kToken), "");
  EXPECT_EQ(BindingByProof(Jwt(Header(kKey), absl::StrCat(R"({"ath":")", kHash, "\"}")), kToken),
            "");
  EXPECT_EQ(BindingByProof(Jwt(Header(kKey), R"({"htm":"POST","htu":"https://as.example/"})"), ""),
            "");
}

}  // namespace
}  // namespace tokenwatch
