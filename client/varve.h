/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvarve: the client of varved's control API.
 *
 *	struct varve *varve;
 *	json_t *params = json_pack("{s:s}", "lun", "vms/web01"), *result;
 *	json_t *problem = varve_open(NULL, &varve);
 *
 *	if (problem == NULL)
 *		problem = varve_ask(varve, "lun.show", params, &result);
 *
 * The methods, their parameters and their answers are those of the command
 * line (varve(1)); `varve api schema` prints them.  Values are jansson's.
 *
 * Problems.  A function that can fail returns NULL, or a problem: a JSON object
 * that belongs to the caller (json_decref).  It is what varved sent, or of the
 * same form:
 *
 *	{"code":"lun.in-use","what":...,"why":...,"fix":[LINE,...],"exit":5}
 *
 * Codes are stable and listed in varve-errors(7).  Those that the library makes
 * by itself are daemon.*: each function says which.
 *
 * Time.  Every call ends within the time-out that is set, whatever the other
 * side does; there are no threads, signals or locks in here.
 *
 * Threads.  A struct varve serves one thread at a time; several of them are
 * independent.
 *
 * Memory.  When there is none left the program ends, as with glib.
 */
#ifndef VARVE_H
#define VARVE_H

#include <jansson.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The daemon of this machine. */
#define VARVE_PATH_DEFAULT "/run/varve/varve.sock"
#define VARVE_URL_DEFAULT  "unix://" VARVE_PATH_DEFAULT
/* An answer longer than this is not one of varved's. */
#define VARVE_ANSWER_MAX (64u << 20)
/* What a new struct varve has. */
#define VARVE_TIMEOUT_DEFAULT_MS 60000u

/* "exit" of a problem: the class it is of, and varve's exit code. */
enum varve_exit {
	VARVE_OK = 0,
	VARVE_FAILED = 1,
	VARVE_USAGE = 2,
	VARVE_PARTIAL = 3,
	VARVE_NOT_FOUND = 4,
	VARVE_CONFLICT = 5,
	VARVE_NOT_ALLOWED = 6,
	VARVE_UNREACHABLE = 7,
	VARVE_NO_SPACE = 8,
	VARVE_FINDINGS = 9,
	VARVE_CONFIRM = 10,
	VARVE_RUNNING = 11,
	VARVE_INTERRUPTED = 130
};

struct varve;

/* For a server at url: unix:///PATH, or unix:PATH; NULL: VARVE_URL_DEFAULT.
 * Nothing is connected yet.  A socket that is forwarded from another machine
 * (ssh -L) is as good as a local one.
 *   daemon.address   url is none of these */
json_t *varve_open(const char *url, struct varve **ret_varve);
/* NULL is allowed. */
void varve_close(struct varve *varve);

/* As it was given to varve_open; lives as long as varve. */
const char *varve_url(const struct varve *varve);

/* The most a call may take, connecting and repeating included. */
void varve_set_timeout(struct varve *varve, unsigned milliseconds);
unsigned varve_timeout(const struct varve *varve); /* milliseconds */

/* How long a call waits for a server that is not there, or goes away while it
 * is at work: 0 (as a new struct varve has it) says at once that it is not
 * running; 10000 outlives a restart of varved. */
void varve_set_patience(struct varve *varve, unsigned milliseconds);

/* Calls a method that changes nothing and waits for its answer, *ret_result: an
 * object, and the caller's.  params (NULL: none) stays the caller's.  Connects
 * first if need be.  A connection that proves to be dead is made anew and the
 * call repeated, within the patience.
 *   daemon.not-running   nothing listens there
 *   daemon.not-allowed   the socket may not be opened by this user
 *   daemon.timeout       the time is up; the next call connects anew
 *   daemon.lost          the connection ended before the answer
 *   daemon.protocol      what answers there is not varved
 *   any other            varved's refusal */
json_t *varve_ask(struct varve *varve, const char *method, const json_t *params,
    json_t **ret_result);

/* The same for a method that changes something.  It gets a request_id, if
 * params have none, so that varved does once what it is asked twice.  After
 * daemon.timeout and daemon.lost it may or may not have been done.  A change
 * that was cut short by a crash of varved may be refused when it is repeated,
 * because it finds its own work done (lun.exists). */
json_t *varve_change(struct varve *varve, const char *method,
    const json_t *params, json_t **ret_result);

/* What a problem says; never NULL, and as long-lived as the problem. */
const char *varve_problem_code(const json_t *problem);
const char *varve_problem_what(const json_t *problem);
const char *varve_problem_why(const json_t *problem);
/* VARVE_FAILED for what is no class. */
enum varve_exit varve_problem_exit(const json_t *problem);

static inline void
varve_closep(struct varve **varve)
{
	varve_close(*varve);
}

#ifdef __cplusplus
}
#endif

#endif
