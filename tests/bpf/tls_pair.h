// Two ends of a TLS connection in one process, joined by memory: no sockets, no limit, no threads.
#ifndef TOKENWATCH_TESTS_BPF_TLS_PAIR_H_
#define TOKENWATCH_TESTS_BPF_TLS_PAIR_H_

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <cstdlib>
#include <string>

namespace tokenwatch {

// Makes `context` a server's, with a self-signed certificate that is made here.
inline void UseFreshCertificate(SSL_CTX* context) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
  X509_set_pubkey(certificate, key);
  X509_sign(certificate, key, EVP_sha256());
  SSL_CTX_use_certificate(context, certificate);
  SSL_CTX_use_PrivateKey(context, key);
  X509_free(certificate);
  EVP_PKEY_free(key);
}

// Aborts where a call fails.
class TlsPair {
 public:
  TlsPair()
      : client_context_(SSL_CTX_new(TLS_client_method())),
        server_context_(SSL_CTX_new(TLS_server_method())) {
    UseFreshCertificate(server_context_);
    client_ = SSL_new(client_context_);
    server_ = SSL_new(server_context_);
    BIO* to_server = BIO_new(BIO_s_mem());
    BIO* to_client = BIO_new(BIO_s_mem());
    BIO_up_ref(to_server);
    BIO_up_ref(to_client);
    SSL_set_bio(client_, to_client, to_server);
    SSL_set_bio(server_, to_server, to_client);
    SSL_set_connect_state(client_);
    SSL_set_accept_state(server_);
    int rounds = 0;
    while (SSL_do_handshake(client_) != 1 || SSL_do_handshake(server_) != 1) {
      if (SSL_do_handshake(server_) != 1 && ++rounds > 10) std::abort();
    }
  }
  ~TlsPair() {
    SSL_free(client_);
    SSL_free(server_);
    SSL_CTX_free(client_context_);
    SSL_CTX_free(server_context_);
  }
  TlsPair(const TlsPair&) = delete;
  TlsPair& operator=(const TlsPair&) = delete;

  // One call that `from` sends with, and calls of `part` bytes at most that the other end reads
  // with.
  void Pass(SSL* from, const std::string& bytes, size_t part = 1 << 20) {
    if (bytes.empty()) return;
    if (SSL_write(from, bytes.data(), static_cast<int>(bytes.size())) !=
        static_cast<int>(bytes.size())) {
      std::abort();
    }
    std::string buffer(part, '\0');
    for (size_t got = 0; got < bytes.size();) {
      const int count =
          SSL_read(from == client_ ? server_ : client_, buffer.data(), static_cast<int>(part));
      if (count <= 0) std::abort();
      got += static_cast<size_t>(count);
    }
  }
  void FromClient(const std::string& bytes) { Pass(client_, bytes); }
  SSL* client() { return client_; }
  SSL* server() { return server_; }
  void FromServer(const std::string& bytes, size_t part = 1 << 20) { Pass(server_, bytes, part); }

 private:
  SSL_CTX* client_context_;
  SSL_CTX* server_context_;
  SSL* client_;
  SSL* server_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_BPF_TLS_PAIR_H_
