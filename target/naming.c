/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/naming.h"
#include "base/assert.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define BASE_PREFIX "iqn.2026-01."
/* what a base may take, so that pool and LUN (63 each) still fit */
#define BASE_MAX 80

/* RFC 3722: letters are mapped to lower case; of ASCII only letters, digits,
 * '-', '.' and ':' are left.  (':' parts base, pool and LUN here.) */
static char
name_character(char c)
{
	if (isascii((unsigned char)c) && isalnum((unsigned char)c))
		return (char)tolower((unsigned char)c);
	return c == '.' ? '.' : '-';
}

void
naming_base(const char *hostname, char ret_base[NAMING_IQN_MAX + 1])
{
	char alone[HOST_NAME_MAX + sizeof(".local")];
	const char *end;
	size_t used =
	    (size_t)snprintf(ret_base, NAMING_IQN_MAX + 1, "%s", BASE_PREFIX);

	hostname += strspn(hostname, ".");
	end = hostname + strlen(hostname);
	while (end > hostname && end[-1] == '.')
		end--;
	/* two labels at least, or targetcli does not take it for a name */
	if (memchr(hostname, '.', (size_t)(end - hostname)) == NULL) {
		snprintf(alone, sizeof(alone), "%.*s.local",
		    end > hostname ? (int)(end - hostname) : 4,
		    end > hostname ? hostname : "host");
		hostname = alone;
		end = alone + strlen(alone);
	}
	/* labels from the last to the first; empty ones are skipped */
	while (end > hostname) {
		const char *label = end;
		while (label > hostname && label[-1] != '.')
			label--;
		size_t length = (size_t)(end - label);
		if (used + length + 1 > BASE_MAX)
			break;
		for (size_t i = 0; i < length; i++)
			ret_base[used++] = name_character(label[i]);
		end = label > hostname ? label - 1 : hostname;
		if (length > 0 && end > hostname)
			ret_base[used++] = '.';
	}
	while (ret_base[used - 1] == '.')
		used--;
	ret_base[used] = '\0';
}

static size_t
append_part(char *iqn, size_t used, const char *part)
{
	assert(used + 1 + strlen(part) <= NAMING_IQN_MAX);
	iqn[used++] = ':';
	for (; *part != '\0'; part++)
		iqn[used++] = name_character(*part);
	return used;
}

void
naming_target(const char *base, const char *pool, const char *lun,
    unsigned copy, char ret_iqn[NAMING_IQN_MAX + 1])
{
	size_t used = strlen(base);

	assert(used <= BASE_MAX);
	memcpy(ret_iqn, base, used);
	used = append_part(ret_iqn, used, pool);
	if (lun != NULL)
		used = append_part(ret_iqn, used, lun);
	ret_iqn[used] = '\0';
	if (copy > 1)
		snprintf(
		    ret_iqn + used, NAMING_IQN_MAX + 1 - used, "-%u", copy);
}

/* ---- initiator names ---- */

/* RFC 7143 4.2.7.4: "iqn." year-month "." reversed domain, optional ":..." */
static bool
iqn_valid(const char *name)
{
	static const char shape[] = "iqn.dddd-dd.";

	for (size_t i = 0; shape[i] != '\0'; i++) {
		bool ok = shape[i] == 'd' ? isdigit((unsigned char)name[i]) != 0
					  : name[i] == shape[i];
		if (!ok)
			return false;
	}
	return isalnum((unsigned char)name[sizeof(shape) - 1]);
}

/* RFC 7143 4.2.7.5 and 4.2.7.6: 16 hexadecimal digits; naa. also 32 */
static bool
hex_name_valid(const char *digits, bool naa)
{
	size_t length = strspn(digits, "0123456789abcdef");

	if (digits[length] != '\0')
		return false;
	return length == 16 || (naa && length == 32);
}

bool
naming_initiator(const char *text, char ret_iqn[NAMING_IQN_MAX + 1])
{
	size_t length = strlen(text);

	if (length > NAMING_IQN_MAX)
		return false;
	for (size_t i = 0; i <= length; i++) {
		unsigned char c = (unsigned char)text[i];
		/* '_' is no character of iSCSI names, but some are so set up */
		if (c != '\0' && !isalnum(c) && strchr(".:-_", c) == NULL)
			return false;
		if (c >= 0x80)
			return false;
		ret_iqn[i] = (char)tolower(c);
	}
	if (strncmp(ret_iqn, "eui.", 4) == 0)
		return hex_name_valid(ret_iqn + 4, false);
	if (strncmp(ret_iqn, "naa.", 4) == 0)
		return hex_name_valid(ret_iqn + 4, true);
	return iqn_valid(ret_iqn);
}

/* ---- addresses ---- */

bool
naming_number(const char *text, unsigned *ret_number)
{
	char *end;
	unsigned long number;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	number = strtoul(text, &end, 10);
	if (errno != 0 || *end != '\0' || number > 65535)
		return false;
	*ret_number = (unsigned)number;
	return true;
}

/* Cuts text, a copy, into host and port. */
static bool
address_split(char *text, char **ret_host, unsigned *ret_port)
{
	char *colon = strchr(text, ':'), *close;

	*ret_host = text;
	*ret_port = NAMING_PORT;
	if (text[0] == '[') {
		close = strchr(text, ']');
		if (close == NULL)
			return false;
		*close = '\0';
		*ret_host = text + 1;
		if (close[1] == '\0')
			return true;
		return close[1] == ':' && naming_number(close + 2, ret_port);
	}
	if (colon == NULL || strchr(colon + 1, ':') != NULL)
		return true; /* IPv4, or IPv6 without a port */
	*colon = '\0';
	return naming_number(colon + 1, ret_port);
}

bool
naming_address(const char *text, char ret_address[NAMING_ADDRESS_MAX])
{
	char copy[NAMING_ADDRESS_MAX], shown[INET6_ADDRSTRLEN], *host;
	struct in6_addr in6;
	struct in_addr in;
	unsigned port;

	if (strlen(text) >= sizeof(copy))
		return false;
	strcpy(copy, text);
	if (!address_split(copy, &host, &port))
		return false;
	if (inet_pton(AF_INET6, host, &in6) == 1) {
		inet_ntop(AF_INET6, &in6, shown, sizeof(shown));
		snprintf(
		    ret_address, NAMING_ADDRESS_MAX, "[%s]:%u", shown, port);
		return true;
	}
	if (text[0] == '[' || inet_pton(AF_INET, host, &in) != 1)
		return false;
	inet_ntop(AF_INET, &in, shown, sizeof(shown));
	snprintf(ret_address, NAMING_ADDRESS_MAX, "%s:%u", shown, port);
	return true;
}

unsigned
naming_address_port(const char *address)
{
	const char *colon = strrchr(address, ':');

	assert(colon != NULL);
	return (unsigned)strtoul(colon + 1, NULL, 10);
}

bool
naming_address_any(const char *address)
{
	return strncmp(address, "0.0.0.0:", 8) == 0 ||
	       strncmp(address, "[::]:", 5) == 0;
}

void
naming_sockaddr(
    const struct sockaddr_storage *sa, char ret_address[NAMING_ADDRESS_MAX])
{
	char shown[INET6_ADDRSTRLEN] = "?";

	if (sa->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 =
		    (const struct sockaddr_in6 *)sa;
		inet_ntop(AF_INET6, &in6->sin6_addr, shown, sizeof(shown));
		snprintf(ret_address, NAMING_ADDRESS_MAX, "[%s]:%u", shown,
		    ntohs(in6->sin6_port));
		return;
	}
	const struct sockaddr_in *in = (const struct sockaddr_in *)sa;
	assert(sa->ss_family == AF_INET);
	inet_ntop(AF_INET, &in->sin_addr, shown, sizeof(shown));
	snprintf(ret_address, NAMING_ADDRESS_MAX, "%s:%u", shown,
	    ntohs(in->sin_port));
}

/* ---- users and secrets ---- */

bool
naming_user_valid(const char *user)
{
	size_t length = strlen(user);

	if (length == 0 || length > NAMING_IQN_MAX)
		return false;
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)user[i];
		if (c >= 0x80 || (!isalnum(c) && strchr("._:@-", c) == NULL))
			return false;
	}
	return true;
}

bool
naming_secret_valid(const char *secret)
{
	size_t length = strlen(secret);

	if (length < NAMING_SECRET_MIN || length > NAMING_SECRET_MAX)
		return false;
	for (size_t i = 0; i < length; i++) {
		if (secret[i] < ' ' || secret[i] > '~')
			return false;
	}
	return secret[0] != ' ' && secret[length - 1] != ' ';
}

int
naming_secret_make(char ret_secret[NAMING_SECRET_MADE + 1])
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				       "abcdefghijklmnopqrstuvwxyz0123456789";
	const unsigned letters = sizeof(alphabet) - 1;
	/* bytes beyond the last multiple would favour the first letters */
	const unsigned limit = 256 - 256 % letters;
	unsigned used = 0;

	while (used < NAMING_SECRET_MADE) {
		unsigned char byte;
		ssize_t got = getrandom(&byte, 1, 0);
		if (got < 0 && errno != EINTR)
			return -errno;
		if (got == 1 && byte < limit)
			ret_secret[used++] = alphabet[byte % letters];
	}
	ret_secret[used] = '\0';
	return 0;
}
