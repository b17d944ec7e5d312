#include "vmm-core/block/nbd/without_tls.h"

#include <cstdlib>

// Nobody comes here: libnbd calls these for a handle with TLS, which is off, or for an address in a URI.
#define ABSENT(name)        \
  [[noreturn]] void name(); \
  void name() {             \
    std::abort();           \
  }

extern "C" {
ABSENT(gnutls_bye)
ABSENT(gnutls_certificate_allocate_credentials)
ABSENT(gnutls_certificate_free_credentials)
ABSENT(gnutls_certificate_set_x509_crl_file)
ABSENT(gnutls_certificate_set_x509_key_file)
ABSENT(gnutls_certificate_set_x509_system_trust)
ABSENT(gnutls_certificate_set_x509_trust_file)
ABSENT(gnutls_cipher_get)
ABSENT(gnutls_cipher_get_key_size)
ABSENT(gnutls_cipher_get_name)
ABSENT(gnutls_credentials_set)
ABSENT(gnutls_deinit)
ABSENT(gnutls_error_is_fatal)
ABSENT(gnutls_handshake)
ABSENT(gnutls_handshake_get_last_in)
ABSENT(gnutls_handshake_get_last_out)
ABSENT(gnutls_handshake_set_timeout)
ABSENT(gnutls_init)
ABSENT(gnutls_kx_get)
ABSENT(gnutls_kx_get_name)
ABSENT(gnutls_mac_get)
ABSENT(gnutls_mac_get_key_size)
ABSENT(gnutls_mac_get_name)
ABSENT(gnutls_priority_set_direct)
ABSENT(gnutls_psk_allocate_client_credentials)
ABSENT(gnutls_psk_free_client_credentials)
ABSENT(gnutls_psk_set_client_credentials)
ABSENT(gnutls_record_check_pending)
ABSENT(gnutls_record_get_direction)
ABSENT(gnutls_record_recv)
ABSENT(gnutls_record_send)
ABSENT(gnutls_server_name_set)
ABSENT(gnutls_session_set_verify_cert)
ABSENT(gnutls_strerror)
ABSENT(gnutls_transport_is_ktls_enabled)
ABSENT(gnutls_transport_set_int2)
ABSENT(xmlFreeURI)
ABSENT(xmlParseURI)
ABSENT(xmlSaveUri)
ABSENT(xmlURIUnescapeString)
}

namespace warren::vmm::block::nbd {

void require_no_tls() noexcept {}

}  // namespace warren::vmm::block::nbd
