/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/serve_wire.h"
#include "backup/problem.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/x509.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define BACKLOG 16

/* ---- listening ---- */

static json_t *
refused(const char *listen, const char *why)
{
	return problem_why(
	    backup_problem(BACKUP_ADDRESS, "cannot listen on %s", listen), "%s",
	    why);
}

/* Bound, or -errno.  A socket that nobody listens on any more, as a killed
 * process leaves it, is replaced. */
static int
unix_bind(int fd, const struct sockaddr_un *address)
{
	_cleanup_(closep) int other = -1;

	if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
		return 0;
	if (errno != EADDRINUSE)
		return -errno;
	other = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connect(other, (const struct sockaddr *)address,
		sizeof(*address)) == 0 ||
	    errno != ECONNREFUSED || unlink(address->sun_path) < 0)
		return -EADDRINUSE;
	return bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0
		   ? 0
		   : -errno;
}

static json_t *
unix_open(const char *listen, const char *path, struct serve_socket *ret)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	mode_t before;
	int bound;

	if (path[0] != '/' || strlen(path) >= sizeof(address.sun_path))
		return refused(listen, "it has to be a path from the root, of "
				       "107 bytes at most");
	strcpy(address.sun_path, path);
	ret->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	before = umask(0177);
	bound = ret->fd < 0 ? -errno : unix_bind(ret->fd, &address);
	umask(before);
	if (bound < 0)
		return refused(listen, strerror(-bound));
	strcpy(ret->path, path);
	snprintf(ret->address, sizeof(ret->address), "%s", path);
	ret->local = true;
	return NULL;
}

static bool
is_loopback(const struct sockaddr_storage *address)
{
	const struct sockaddr_in *in = (const void *)address;
	const struct sockaddr_in6 *in6 = (const void *)address;

	if (address->ss_family == AF_INET)
		return ntohl(in->sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

static void
address_say(struct serve_socket *ret)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	char host[64] = "", port[8] = "";

	getsockname(ret->fd, (struct sockaddr *)&address, &length);
	getnameinfo((struct sockaddr *)&address, length, host, sizeof(host),
	    port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
	snprintf(ret->address, sizeof(ret->address),
	    address.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
	ret->local = is_loopback(&address);
}

/* "10.0.0.10:10809", "[::1]:10809" in its two parts. */
static bool
address_split(char *text, char **ret_host, char **ret_port)
{
	char *colon = strrchr(text, ':');

	if (colon == NULL || colon == text || colon[1] == '\0')
		return false;
	*colon = '\0';
	*ret_port = colon + 1;
	*ret_host = text;
	if (text[0] != '[')
		return strchr(text, ':') == NULL;
	*ret_host = text + 1;
	if (colon[-1] != ']')
		return false;
	colon[-1] = '\0';
	return true;
}

static json_t *
tcp_open(const char *listen, struct serve_socket *ret)
{
	const struct addrinfo hints = {
	    .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
	    .ai_socktype = SOCK_STREAM};
	_cleanup_(freep) char *copy = strdup(listen);
	struct addrinfo *info = NULL;
	char *host, *port;
	int one = 1, bound = -1;

	assert(copy != NULL);
	if (!address_split(copy, &host, &port) ||
	    getaddrinfo(host, port, &hints, &info) != 0)
		return refused(listen, "it has to be unix:/PATH, ADDR:PORT or "
				       "[ADDR6]:PORT");
	ret->fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (ret->fd >= 0) {
		setsockopt(
		    ret->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		bound = bind(ret->fd, info->ai_addr, info->ai_addrlen);
	}
	freeaddrinfo(info);
	if (bound < 0)
		return refused(listen, strerror(errno));
	address_say(ret);
	return NULL;
}

json_t *
serve_socket_open(const char *listen_on, struct serve_socket *ret_socket)
{
	json_t *problem;

	*ret_socket = (struct serve_socket){.fd = -1};
	problem = strncmp(listen_on, "unix:", 5) == 0
		      ? unix_open(listen_on, listen_on + 5, ret_socket)
		      : tcp_open(listen_on, ret_socket);
	if (problem == NULL && listen(ret_socket->fd, BACKLOG) < 0)
		problem = refused(listen_on, strerror(errno));
	if (problem != NULL)
		serve_socket_close(ret_socket);
	return problem;
}

void
serve_socket_close(struct serve_socket *socket)
{
	closep(&socket->fd);
	socket->fd = -1;
	if (socket->path[0] != '\0')
		unlink(socket->path);
	socket->path[0] = '\0';
}

/* ---- TLS ---- */

static char *
file_of(const char *directory, const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", directory, name) < 0)
		abort();
	return path;
}

static bool
is_there(const char *path)
{
	return access(path, F_OK) == 0 || errno != ENOENT;
}

/* Whom clients' certificates have to be of, and which are called back. */
static int
tls_load_ca(const char *directory, gnutls_certificate_credentials_t credentials)
{
	_cleanup_(freep) char *ca = file_of(directory, "ca-cert.pem"),
			      *crl = file_of(directory, "ca-crl.pem");
	int ret = gnutls_certificate_set_x509_trust_file(
	    credentials, ca, GNUTLS_X509_FMT_PEM);

	/* the number of them */
	if (ret == 0)
		return GNUTLS_E_NO_CERTIFICATE_FOUND;
	if (ret > 0 && is_there(crl))
		ret = gnutls_certificate_set_x509_crl_file(
		    credentials, crl, GNUTLS_X509_FMT_PEM);
	return ret;
}

json_t *
serve_tls_load(const char *directory, bool verify,
    gnutls_certificate_credentials_t *ret_credentials)
{
	_cleanup_(freep) char *certificate =
				  file_of(directory, "server-cert.pem"),
			      *key = file_of(directory, "server-key.pem");
	int ret = gnutls_certificate_allocate_credentials(ret_credentials);

	assert(ret == 0);
	ret = gnutls_certificate_set_x509_key_file(
	    *ret_credentials, certificate, key, GNUTLS_X509_FMT_PEM);
	if (ret >= 0 && verify)
		ret = tls_load_ca(directory, *ret_credentials);
	if (ret >= 0)
		return NULL;
	gnutls_certificate_free_credentials(*ret_credentials);
	*ret_credentials = NULL;
	return problem_why(
	    backup_problem(
		BACKUP_TLS, "the certificates in %s cannot be used", directory),
	    "%s (server-cert.pem, server-key.pem%s)", gnutls_strerror(ret),
	    verify ? ", ca-cert.pem" : "");
}

/* ---- bytes ---- */

/* What TLS reads from the socket. */
static ssize_t
pull(gnutls_transport_ptr_t arg, void *to, size_t length)
{
	const struct serve_wire *wire = arg;

	return recv(wire->fd, to, length, wire->no_wait ? MSG_DONTWAIT : 0);
}

static ssize_t
push(gnutls_transport_ptr_t arg, const void *from, size_t length)
{
	const struct serve_wire *wire = arg;

	return send(wire->fd, from, length, MSG_NOSIGNAL);
}

/* A client shows a certificate that is for clients, of the CA's. */
static void
require_certificate(gnutls_session_t session)
{
	static char purpose[] = GNUTLS_KP_TLS_WWW_CLIENT;
	static gnutls_typed_vdata_st data[] = {
	    {GNUTLS_DT_KEY_PURPOSE_OID, (unsigned char *)purpose, 0}};

	gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
	gnutls_session_set_verify_cert2(session, data, ARRAY_SIZE(data), 0);
}

static int
start_tls(struct nbd_wire *nbd)
{
	struct serve_wire *wire = container_of(nbd, struct serve_wire, wire);
	int ret = gnutls_init(&wire->session, GNUTLS_SERVER);

	assert(ret == 0);
	/* nothing of what was said in the clear is left to be taken for more */
	assert(wire->ahead_at == wire->ahead_length);
	gnutls_set_default_priority(wire->session);
	gnutls_credentials_set(
	    wire->session, GNUTLS_CRD_CERTIFICATE, wire->credentials);
	if (wire->verify)
		require_certificate(wire->session);
	gnutls_transport_set_ptr(wire->session, wire);
	gnutls_transport_set_pull_function(wire->session, pull);
	gnutls_transport_set_push_function(wire->session, push);
	do {
		ret = gnutls_handshake(wire->session);
	} while (ret < 0 && !gnutls_error_is_fatal(ret));
	return ret < 0 ? -EPROTO : 0;
}

/* 0: the end; -EAGAIN: with no_wait, nothing is there; negative: it broke. */
static ssize_t
some_in(struct serve_wire *wire, void *to, size_t length)
{
	ssize_t got;

	for (;;) {
		if (wire->session == NULL) {
			got = pull(wire, to, length);
			if (got < 0 && errno != EINTR)
				return -errno;
		} else {
			got = gnutls_record_recv(wire->session, to, length);
			if (got == GNUTLS_E_AGAIN && wire->no_wait)
				return -EAGAIN;
			if (got < 0 && got != GNUTLS_E_AGAIN &&
			    got != GNUTLS_E_INTERRUPTED)
				return -EPIPE;
		}
		if (got >= 0)
			return got;
	}
}

static ssize_t
some_out(struct serve_wire *wire, const void *from, size_t length)
{
	ssize_t put;

	do {
		put = wire->session != NULL
			  ? gnutls_record_send(wire->session, from, length)
			  : send(wire->fd, from, length, MSG_NOSIGNAL);
	} while (wire->session != NULL
		     ? put == GNUTLS_E_INTERRUPTED || put == GNUTLS_E_AGAIN
		     : put < 0 && errno == EINTR);
	return put;
}

/* What was read ahead. */
static size_t
take_ahead(struct serve_wire *wire, void *to, size_t length)
{
	size_t left = wire->ahead_length - wire->ahead_at;

	if (length > left)
		length = left;
	memcpy(to, wire->ahead + wire->ahead_at, length);
	wire->ahead_at += length;
	return length;
}

static int
wire_read(struct nbd_wire *nbd, void *to, size_t length)
{
	struct serve_wire *wire = container_of(nbd, struct serve_wire, wire);
	size_t ahead = take_ahead(wire, to, length);
	uint8_t *at = (uint8_t *)to + ahead;

	length -= ahead;
	while (length > 0) {
		ssize_t got = some_in(wire, at, length);
		if (got <= 0)
			return -EPIPE;
		at += got;
		length -= (size_t)got;
	}
	return 0;
}

/* A byte of TLS on the socket need not be one of the client's: only what was
 * read is known to be there.  The end is found by read(). */
static bool
wire_ready(struct nbd_wire *nbd)
{
	struct serve_wire *wire = container_of(nbd, struct serve_wire, wire);
	ssize_t got;

	if (wire->ahead_at < wire->ahead_length)
		return true;
	wire->no_wait = true;
	got = some_in(wire, wire->ahead, sizeof(wire->ahead));
	wire->no_wait = false;
	wire->ahead_at = 0;
	wire->ahead_length = got > 0 ? (size_t)got : 0;
	return got != -EAGAIN;
}

static int
wire_write(struct nbd_wire *nbd, const void *from, size_t length)
{
	struct serve_wire *wire = container_of(nbd, struct serve_wire, wire);
	const uint8_t *at = from;

	while (length > 0) {
		ssize_t put = some_out(wire, at, length);
		if (put <= 0)
			return -EPIPE;
		at += put;
		length -= (size_t)put;
	}
	return 0;
}

void
serve_wire_init(struct serve_wire *wire, int fd,
    gnutls_certificate_credentials_t credentials, bool verify)
{
	*wire = (struct serve_wire){
	    .wire = {.read = wire_read,
		.write = wire_write,
		.ready = wire_ready,
		.start_tls = credentials != NULL ? start_tls : NULL},
	    .fd = fd,
	    .credentials = credentials,
	    .verify = verify,
	};
}

void
serve_wire_done(struct serve_wire *wire)
{
	if (wire->session == NULL)
		return;
	gnutls_bye(wire->session, GNUTLS_SHUT_WR);
	gnutls_deinit(wire->session);
}
