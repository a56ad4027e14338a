/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One step on the tree of configfs: done if it is not done yet, and a problem
 * that names the path if it cannot be.  For the files lio*.c only.
 */
#ifndef TARGET_TCMU_LIO_STEP_H
#define TARGET_TCMU_LIO_STEP_H

#include "target/tcmu/lio_files.h"

#define LIO_ROOT_MAX 128
#define LIO_PATH_MAX 1024 /* a root, two iqns, and what is between them */
#define LIO_TEXT_MAX 1024 /* of an attribute that we read */

#define LIO_ISCSI    "target/iscsi"
#define LIO_LOOPBACK "target/loopback"

struct lio {
	const struct lio_files *files;
	void *arg;
	char configfs[LIO_ROOT_MAX], sysfs[LIO_ROOT_MAX], dev[LIO_ROOT_MAX];
	int result;      /* of this call: the first failure */
	unsigned waited; /* in this call, times, for a ring to be let go */
	char problem[LIO_PROBLEM_MAX];
};

struct lio_path {
	char text[LIO_PATH_MAX];
};

struct lio_path lio_path(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* Every public call begins with it. */
void lio_begin(struct lio *lio);
/* ret, which is kept with the sentence if it is the first. */
int lio_fail(struct lio *lio, int ret, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The text without its newline; no problem when it cannot be read, as that is
 * an answer too. */
int lio_get(struct lio *lio, const char *path, char *ret, size_t size);
/* Writes if something else is there. */
int lio_set(struct lio *lio, const char *path, const char *value);
int lio_write(struct lio *lio, const char *path, const char *text);

/* What is there already, or is gone already, is no failure. */
int lio_make_dir(struct lio *lio, const char *path);
int lio_remove_dir(struct lio *lio, const char *path);
int lio_make_link(struct lio *lio, const char *target, const char *path);
int lio_remove_link(struct lio *lio, const char *path);
/* A directory that is not there is an empty one. */
int lio_read_dir(struct lio *lio, const char *path, struct lio_list *ret);

/* A directory whose making loads a module, and the module's name. */
int lio_make_with_module(struct lio *lio, const char *path, const char *module);

/* "lun_7": 7. */
bool lio_lun_number(const char *name, unsigned *ret_number);
/* The only link in a directory; "" if there is none. */
void lio_find_link(
    struct lio *lio, const char *path, char ret_name[LIO_ENTRY_MAX]);

/* ---- the lun_N of a TPG, of any fabric ---- */

struct lio_port {
	unsigned number;
	char device[LIO_DEVICE_MAX]; /* ours; "" if it is not, or no link */
	char link[LIO_ENTRY_MAX];    /* its name; "": none */
};

struct lio_ports {
	struct lio_port *ports;
	unsigned count;
	/* the first that exports what is not ours, for the problem */
	char foreign[LIO_PROBLEM_MAX / 2];
};

int lio_ports_read(struct lio *lio, const char *tpg, struct lio_ports *ret);
void lio_ports_done(struct lio_ports *ports);
int lio_ports_add(
    struct lio *lio, struct lio_ports *ports, const struct lio_port *port);
/* The first with that device; NULL. */
struct lio_port *lio_ports_find(
    const struct lio_ports *ports, const char *device);
struct lio_port *lio_ports_number(
    const struct lio_ports *ports, unsigned number);
int lio_port_remove(
    struct lio *lio, const char *tpg, const struct lio_port *port);
/* lun_NUMBER, linked to that device of ours. */
int lio_port_make(
    struct lio *lio, const char *tpg, unsigned number, const char *device);

int lio_device_name_check(struct lio *lio, const char *name);
/* core/user_86, which loads the module. */
int lio_hba_make(struct lio *lio);

/* ---- the parts of lio_apply ---- */

void lio_loops_prune(struct lio *lio, const struct lio_config *config);
void lio_loops_make(struct lio *lio, const struct lio_config *config);
void lio_targets_prune(struct lio *lio, const struct lio_config *config);
void lio_targets_make(struct lio *lio, const struct lio_config *config);

/* of lio_acl.c; tpg is its directory, ports what it exports */
void lio_acls_prune(struct lio *lio, const char *tpg,
    const struct lio_target *target, const struct lio_ports *ports);
void lio_acls_make(struct lio *lio, const char *tpg,
    const struct lio_target *target, const struct lio_ports *ports);
void lio_acls_remove(struct lio *lio, const char *tpg);
bool lio_acls_any_chap(const struct lio_target *target);

#endif
