/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/peer.h"
#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define GROUPS_MAX 65536 /* NGROUPS_MAX of the kernel */

struct groups {
	gid_t primary;
	gid_t *others;
	unsigned count;
};

/* SO_PEERCRED has the primary group only; SO_PEERGROUPS (4.13) the others, as
 * they were at connect(2). */
static void
groups_read(int fd, struct groups *groups)
{
	socklen_t length = 0;

	groups->others = NULL;
	groups->count = 0;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &length) == 0 ||
	    errno != ERANGE || length > GROUPS_MAX * sizeof(gid_t))
		return;
	groups->others = malloc(length);
	if (groups->others == NULL)
		return;
	if (getsockopt(
		fd, SOL_SOCKET, SO_PEERGROUPS, groups->others, &length) == 0)
		groups->count = length / sizeof(gid_t);
}

static bool
is_member(const struct groups *groups, const char *name)
{
	const struct group *group = getgrnam(name);

	if (group == NULL)
		return false;
	if (groups->primary == group->gr_gid)
		return true;
	for (unsigned i = 0; i < groups->count; i++) {
		if (groups->others[i] == group->gr_gid)
			return true;
	}
	return false;
}

void
peer_caller(int fd, const struct config *config, struct caller *ret_caller)
{
	struct ucred cred;
	socklen_t length = sizeof(cred);
	struct groups groups;

	*ret_caller = (struct caller){.role = ROLE_NONE, .uid = (uid_t)-1};
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &length) < 0)
		return;
	ret_caller->uid = cred.uid;
	ret_caller->pid = cred.pid;
	if (cred.uid == 0 || cred.uid == geteuid()) {
		ret_caller->role = ROLE_WRITE;
		return;
	}
	groups.primary = cred.gid;
	groups_read(fd, &groups);
	if (is_member(&groups, config->group_write))
		ret_caller->role = ROLE_WRITE;
	else if (is_member(&groups, config->group_read))
		ret_caller->role = ROLE_READ;
	free(groups.others);
}
