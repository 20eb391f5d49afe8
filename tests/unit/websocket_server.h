/* SPDX-License-Identifier: MIT
 *
 * websocket_server - a blocking WebSocket server for one connection, in a forked process, by script
 *
 * The process exits 0 if everything the script wanted from its client came. Certificates are made
 * here.
 */
#ifndef TESTS_UNIT_WEBSOCKET_SERVER_H
#define TESTS_UNIT_WEBSOCKET_SERVER_H

#include "io/websocket_upgrade.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct conn {
	int fd;
	SSL *ssl;
	bool one_by_one;
};

typedef void server_script(struct conn *c);

struct server {
	pid_t pid;
	char url[64];
};

enum server_cert {
	CERT_GOOD,
	CERT_OTHER_HOST,
	CERT_OTHER_CA,
	CERT_EXPIRED,
	CERT_OLD_TLS,
	CERT_NONE
};

struct server_tls {
	enum server_cert use;
	EVP_PKEY *key;
	X509 *ca, *certs[CERT_NONE];
	char ca_file[64];
};

/* What the forked process does. */
struct server_job {
	server_script *script;
	const char *answer; /* instead of the upgrade */
	struct slice bytes; /* instead of a script */
	struct server_tls *tls;
};

static void server_die(void)
{
	_exit(1);
}

static void server_bytes(struct conn *c, const void *p, size_t n)
{
	size_t step = c->one_by_one ? 1 : n;

	for (size_t i = 0; i < n;) {
		ssize_t r = c->ssl ? SSL_write(c->ssl, (const char *)p + i, (int)step)
				   : send(c->fd, (const char *)p + i, step, MSG_NOSIGNAL);

		if (r <= 0)
			server_die();
		i += (size_t)r;
		step = c->one_by_one ? 1 : n - i;
	}
}

static void server_read(struct conn *c, void *p, size_t n)
{
	for (size_t i = 0; i < n;) {
		ssize_t r = c->ssl ? SSL_read(c->ssl, (char *)p + i, (int)(n - i))
				   : recv(c->fd, (char *)p + i, n - i, 0);

		if (r <= 0)
			server_die();
		i += (size_t)r;
	}
}

static void server_frame(struct conn *c, uint8_t first, const void *p, size_t n)
{
	uint8_t head[10] = { first };
	size_t n_head = n < 126 ? 2 : n < 65536 ? 4 : 10;

	head[1] = n < 126 ? (uint8_t)n : n < 65536 ? 126 : 127;
	for (size_t i = 2; i < n_head; i++)
		head[i] = (uint8_t)(n >> 8 * (n_head - 1 - i));
	server_bytes(c, head, n_head);
	server_bytes(c, p, n);
}

/* One control frame of the client, unmasked; returns its first byte. */
static uint8_t server_control(struct conn *c, uint8_t payload[125], size_t *ret_n)
{
	uint8_t head[6];

	server_read(c, head, sizeof head);
	*ret_n = head[1] & 0x7f;
	if (!(head[1] & 0x80) || *ret_n > 125)
		server_die();
	server_read(c, payload, *ret_n);
	for (size_t i = 0; i < *ret_n; i++)
		payload[i] ^= head[2 + i % 4];
	return head[0];
}

static void server_want_pong(struct conn *c, const char *text)
{
	uint8_t payload[125];
	size_t n;

	if (server_control(c, payload, &n) != 0x8a || !slice_is(slice_of(payload, n), text))
		server_die();
}

static void server_answer_ping(struct conn *c)
{
	uint8_t payload[125];
	size_t n;

	if (server_control(c, payload, &n) != 0x89)
		server_die();
	server_frame(c, 0x8a, payload, n);
}

/* Until the client goes away. */
static void server_wait_end(struct conn *c)
{
	char byte;

	while (recv(c->fd, &byte, 1, 0) > 0)
		;
}

/* Reads the request and accepts it. */
static void server_upgrade(struct conn *c, const char *answer)
{
	char request[2048] = "", *key, digest[EVP_MAX_MD_SIZE], text[256], accept[64];
	size_t n = 0;

	while (!strstr(request, "\r\n\r\n") && n < sizeof request - 1)
		server_read(c, request + n++, 1);
	if (answer) {
		server_bytes(c, answer, strlen(answer));
		return;
	}
	key = strstr(request, "Sec-WebSocket-Key: ");
	if (!key || strncmp(request, "GET /x HTTP/1.1\r\n", 17) != 0)
		server_die();
	snprintf(text, sizeof text, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key + 19);
	EVP_Digest(text, strlen(text), (unsigned char *)digest, NULL, EVP_sha1(), NULL);
	EVP_EncodeBlock((unsigned char *)accept, (unsigned char *)digest, 20);
	n = (size_t)snprintf(request, sizeof request,
		"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\n"
		"Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		accept);
	server_bytes(c, request, n);
}

static SSL *server_tls_accept(int fd, const struct server_tls *tls)
{
	bool old = tls->use == CERT_OLD_TLS;
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	SSL *ssl;

	SSL_CTX_use_certificate(ctx, tls->certs[tls->use]);
	SSL_CTX_use_PrivateKey(ctx, tls->key);
	if (old) {
		SSL_CTX_set_security_level(ctx, 0);
		SSL_CTX_set_max_proto_version(ctx, TLS1_1_VERSION);
	}
	ssl = SSL_new(ctx);
	SSL_set_fd(ssl, fd);
	if (SSL_accept(ssl) != 1)
		server_die();
	return ssl;
}

static void server_main(int listener, const struct server_job *job)
{
	struct conn c = { .fd = accept(listener, NULL, NULL) };

	alarm(60);
	if (c.fd < 0)
		server_die();
	setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	if (job->tls && job->tls->use == CERT_NONE)
		server_bytes(&c, "HTTP/1.1 400 plain text\r\n\r\n", 27);
	else if (job->tls)
		c.ssl = server_tls_accept(c.fd, job->tls);
	server_upgrade(&c, job->answer);
	if (job->script)
		job->script(&c);
	else
		server_bytes(&c, job->bytes.p, job->bytes.n);
	if (!job->script)
		server_wait_end(&c);
	shutdown(c.fd, SHUT_WR);
	server_wait_end(&c);
	_exit(0);
}

static void server_fork(struct server *s, const struct server_job *job)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, size) < 0 || listen(fd, 1) < 0 ||
		getsockname(fd, (struct sockaddr *)&at, &size) < 0)
		abort();
	fflush(stdout);
	s->pid = fork();
	if (s->pid < 0)
		abort();
	if (s->pid == 0)
		server_main(fd, job);
	close(fd);
	snprintf(s->url, sizeof s->url, "%s://127.0.0.1:%u/x", job->tls ? "wss" : "ws",
		ntohs(at.sin_port));
}

static void server_start(struct server *s, server_script *script, struct server_tls *tls)
{
	server_fork(s, &(struct server_job){ .script = script, .tls = tls });
}

static void server_start_bytes(struct server *s, const void *p, size_t n)
{
	server_fork(s, &(struct server_job){ .bytes = slice_of(p, n) });
}

static void server_start_answer(struct server *s, const char *answer)
{
	server_fork(s, &(struct server_job){ .answer = answer });
}

/* True if the script got all it wanted. */
static bool server_stop(struct server *s)
{
	int status = 0;

	return waitpid(s->pid, &status, 0) == s->pid && WIFEXITED(status) &&
	       WEXITSTATUS(status) == 0;
}

/* ---- certificates ---- */

static void cert_extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *extension;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	if (!extension)
		abort();
	X509_add_ext(cert, extension, -1);
	X509_EXTENSION_free(extension);
}

/* A certificate for `san`, or a CA if that is NULL; issuer NULL: signed by itself. */
static X509 *cert_make(EVP_PKEY *key, X509 *issuer, const char *name, const char *san, long until_s)
{
	X509 *cert = X509_new();
	X509_NAME *subject = X509_get_subject_name(cert);

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), until_s + (long)strlen(name));
	X509_gmtime_adj(X509_getm_notBefore(cert), -7200);
	X509_gmtime_adj(X509_getm_notAfter(cert), until_s);
	X509_set_pubkey(cert, key);
	X509_NAME_add_entry_by_txt(
		subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(cert, issuer ? X509_get_subject_name(issuer) : subject);
	cert_extend(cert, issuer ? issuer : cert, NID_basic_constraints,
		san ? "CA:FALSE" : "critical,CA:TRUE");
	if (san)
		cert_extend(cert, issuer, NID_subject_alt_name, san);
	if (X509_sign(cert, key, EVP_sha256()) == 0)
		abort();
	return cert;
}

/* One key serves all certificates: who signed is told by name and by what the CA file holds. */
static void server_tls_make(struct server_tls *tls)
{
	EVP_PKEY *other_key = EVP_EC_gen("P-256");
	X509 *other_ca = cert_make(other_key, NULL, "other CA", NULL, 3600);
	FILE *f;
	int fd;

	*tls = (struct server_tls){ .key = EVP_EC_gen("P-256"),
		.ca_file = "/tmp/test-websocket-ca-XXXXXX" };
	tls->ca = cert_make(tls->key, NULL, "test CA", NULL, 3600);
	tls->certs[CERT_GOOD] = cert_make(tls->key, tls->ca, "good", "IP:127.0.0.1", 3600);
	tls->certs[CERT_OTHER_HOST] =
		cert_make(tls->key, tls->ca, "wrong", "IP:127.0.0.2,DNS:localhost", 3600);
	tls->certs[CERT_OTHER_CA] = cert_make(tls->key, other_ca, "stranger", "IP:127.0.0.1", 3600);
	tls->certs[CERT_EXPIRED] = cert_make(tls->key, tls->ca, "late", "IP:127.0.0.1", -3600);
	tls->certs[CERT_OLD_TLS] = cert_make(tls->key, tls->ca, "old", "IP:127.0.0.1", 3600);
	X509_free(other_ca);
	EVP_PKEY_free(other_key);
	fd = mkstemp(tls->ca_file);
	f = fd < 0 ? NULL : fdopen(fd, "w");
	if (!f || PEM_write_X509(f, tls->ca) != 1 || fclose(f) != 0)
		abort();
}

static void server_tls_done(struct server_tls *tls)
{
	unlink(tls->ca_file);
	for (int i = 0; i < CERT_NONE; i++)
		X509_free(tls->certs[i]);
	X509_free(tls->ca);
	EVP_PKEY_free(tls->key);
}

#endif
