/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one table of what varve can be asked: each row is a command of the
 * command line and a method of the control API at once.  The parser, --help,
 * the man page's synopsis, shell completion, the daemon's argument checks and
 * JSON Schema are all made from it (target/api.c holds the rows).
 *
 * On the control socket: JSON-RPC 2.0, one object a line.
 *   -> {"jsonrpc":"2.0","id":1,"method":"lun.create","params":
 *       {"name":"vms/web01","size":107374182400,"dry_run":false}}
 *   <- {"jsonrpc":"2.0","id":1,"result":{"varve":1,"kind":"lun.create",
 *       "item":{...}}}                                   one object, or
 *   <- {... "result":{"varve":1,"kind":"lun.list","items":[{...},...]}}
 *      ... with "cursor" when it is paged: the parameter cursor of the next
 *      page; null: that was the last (of events it never is: later ones come
 *      after it, and an empty page was the last for now)
 *   <- {"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":WHAT,
 *       "data":{"code":"lun.in-use","what":WHAT,"why":WHY,"fix":[LINE,...],
 *               "exit":5}}}
 * Every change takes dry_run (bool), request_id (string; a repeated id gets
 * the first answer again) and if_generation (int; conflict if the state moved
 * on).  Sizes are integers in bytes, times RFC 3339 UTC strings.
 */
#ifndef TARGET_API_H
#define TARGET_API_H

#include "client/varve.h"
#include <stdbool.h>
#include <stddef.h>

/* Exit codes of the command line; "exit" of an error. */
enum api_exit {
	API_OK = VARVE_OK,
	API_FAILED = VARVE_FAILED,
	API_USAGE = VARVE_USAGE,
	API_PARTIAL = VARVE_PARTIAL,
	API_NOT_FOUND = VARVE_NOT_FOUND,
	API_CONFLICT = VARVE_CONFLICT,
	API_NOT_ALLOWED = VARVE_NOT_ALLOWED,
	API_UNREACHABLE = VARVE_UNREACHABLE,
	API_NO_SPACE = VARVE_NO_SPACE,
	API_FINDINGS = VARVE_FINDINGS,
	API_CONFIRM = VARVE_CONFIRM,
	API_RUNNING = VARVE_RUNNING,
	API_INTERRUPTED = VARVE_INTERRUPTED,
};

/* What an argument is; decides parsing, checking and completion. */
/* Of a reservation: whatever size the LUN has.  Also the most there is. */
#define API_ALL (1ull << 60)

enum api_type {
	API_FLAG,     /* JSON true; --name */
	API_POOL,     /* POOL */
	API_LUN,      /* POOL/LUN */
	API_NEW_POOL, /* a name not yet taken */
	API_NEW_LUN,
	API_SNAP,        /* POOL/LUN@SNAP */
	API_NEW_SNAP,    /* POOL/LUN@SNAP, or its parts: POOL/LUN, @SNAP */
	API_SNAP_AT,     /* @SNAP of the LUN named before, or POOL/LUN@SNAP */
	API_LUN_OR_SNAP, /* POOL/LUN or POOL/LUN@SNAP */
	API_POOL_OR_LUN, /* POOL or POOL/LUN */
	API_TRASHED,     /* what is in the trash: its name, or its uuid */
	API_GROUP,       /* GROUP, or POOL/GROUP */
	API_NEW_GROUP,
	API_BOOKMARK, /* its name alone */
	API_NEW_NAME, /* of a bookmark, a LUN, a snapshot: without its pool */
	API_JOB,      /* from job list */
	API_HOST,
	API_NEW_HOST,
	API_POLICY,
	API_NEW_POLICY,
	API_IQN,
	API_SIZE,    /* 100G; JSON: integer, bytes */
	API_RESIZE,  /* 100G or +50G; JSON: string "+N" / "N" in bytes */
	API_LIMIT,   /* 100G or none; JSON: integer, bytes, 0: none */
	API_RESERVE, /* ... or all: API_ALL */
	API_COUNT,   /* 500 or none; JSON: integer, 0: none */
	API_PERCENT, /* 80%; JSON: integer */
	API_INT,
	API_DURATION, /* 30m, 4h, 7d, 2w, 1y; JSON: integer, seconds */
	API_PATH,     /* made absolute by the client */
	API_ADDRESS,  /* ADDR[:PORT], [ADDR6]:PORT */
	API_CHOICE,   /* one of choices, separated by | */
	API_TEXT,
	API_SECRET,  /* the client reads it: --name-file FILE or a prompt; never
			in argv */
	API_SESSION, /* number from session list */
	API_DOCUMENT, /* a JSON object; the client reads it from a file, - is
			 its standard input */
};

struct api_arg {
	const char *name; /* JSON member, with '_'; the option has '-' */
	enum api_type type;
	bool positional, required, repeated; /* repeated: JSON array */
	bool here; /* the command line's alone: no parameter of the method */
	const char *choices;
	const char *help; /* a phrase, lower case, no full stop */
};

enum api_kind { /* how a value of an answer is shown */
	API_SHOW_TEXT,
	API_SHOW_BYTES,
	API_SHOW_COUNT,
	API_SHOW_PERCENT,
	API_SHOW_TIME,
	API_SHOW_RATE_BYTES, /* per second */
	API_SHOW_RATE,
	API_SHOW_USEC,
	API_SHOW_BOOL,    /* yes, no */
	API_SHOW_LIST,    /* JSON array of strings, shown with commas */
	API_SHOW_SECONDS, /* a length of time, shown as "3 h" */
	API_SHOW_BUCKETS, /* JSON array of pairs of numbers, shown as it is */
	API_SHOW_OBJECT,  /* JSON object, shown as it is */
};

struct api_column {
	const char *name;  /* JSON member */
	const char *title; /* as in "SNAP-HELD"; the -o name in lower case */
	enum api_kind kind;
	bool hidden; /* only with -o or --json */
	const char *help;
};

enum {
	API_LIST = 1 << 0,       /* answers items[], else item */
	API_CHANGES = 1 << 1,    /* needs write access; takes dry_run ... */
	API_DESTROYS = 1 << 2,   /* asks for confirmation; see asks_with */
	API_LOCAL = 1 << 3,      /* no daemon: tools/ does it by itself */
	API_LINES = 1 << 4,      /* item.lines[] is a text to paste: people get
				    the lines as they are, no table */
	API_RAW = 1 << 5,        /* item.document is a JSON object: people get
				    it as JSON, indented, no table */
	API_STARTS_JOB = 1 << 6, /* item.job, if any, is one that goes on;
				    the client follows it */
};

struct api_command {
	const char *noun, *verb; /* verb "" for plain commands (health) */
	const char *method;      /* "lun.create"; NULL if API_LOCAL */
	unsigned flags;
	const char *summary;        /* a phrase for the list of commands */
	const char *description;    /* sentences for --help and the man page */
	const struct api_arg *args; /* ends with name NULL */
	const struct api_column *columns; /* ends with name NULL */
	const char *example;              /* one command line per line */
	const char
	    *exits; /* the codes it can end with: "4 no such LUN" per line */
	/* API_DESTROYS only with this flag, or only without it; NULL: always */
	const char *asks_with, *asks_without;
};

/* In the order of help; ends with noun NULL. */
extern const struct api_command api_commands[];
/* Also with the words "lun" "" -> NULL. */
const struct api_command *api_find(const char *noun, const char *verb);
const struct api_command *api_find_method(const char *method);

/* Each error code of the API with its exit code and the sentence that
 * man varve-errors shows; ends with code NULL. */
struct api_error {
	const char *code; /* "lun.in-use" */
	enum api_exit exit;
	const char *meaning;
};
extern const struct api_error api_errors[];

#endif
