/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a TPG exports: a directory lun_N each, with one link to a device.  Who
 * made the link may have called it anything.
 */
#include "target/tcmu/lio_step.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STRING_(x) #x
#define STRING(x)  STRING_(x)
#define OUR_HBA    "/core/user_" STRING(LIO_HBA) "/"

/* "../../../../../../target/core/user_86/NAME" */
static bool
link_is_ours(const char *target, char ret_device[LIO_DEVICE_MAX])
{
	const char *name = strstr(target, OUR_HBA);

	if (name == NULL)
		return false;
	name += strlen(OUR_HBA);
	if (strlen(name) >= LIO_DEVICE_MAX || strchr(name, '/') != NULL)
		return false;
	snprintf(ret_device, LIO_DEVICE_MAX, "%s", name);
	return true;
}

static void
note_foreign(struct lio_ports *ports, const char *target)
{
	const char *name = strstr(target, "/core/");

	if (ports->foreign[0] == '\0')
		snprintf(ports->foreign, sizeof(ports->foreign), "%.100s",
		    name != NULL ? name + 1 : target);
}

static int
read_port(struct lio *lio, const char *tpg, struct lio_port *port,
    struct lio_ports *ports)
{
	struct lio_path dir = lio_path("%s/lun/lun_%u", tpg, port->number);
	char target[LIO_PATH_MAX];
	struct lio_path link;
	int ret;

	lio_find_link(lio, dir.text, port->link);
	if (port->link[0] == '\0')
		return 0;
	link = lio_path("%s/%s", dir.text, port->link);
	ret =
	    lio->files->read_link(lio->arg, link.text, target, sizeof(target));
	if (ret < 0)
		return lio_fail(
		    lio, ret, "cannot read %s: %s", link.text, strerror(-ret));
	if (!link_is_ours(target, port->device))
		note_foreign(ports, target);
	return 0;
}

int
lio_ports_add(
    struct lio *lio, struct lio_ports *ports, const struct lio_port *port)
{
	struct lio_port *more =
	    reallocarray(ports->ports, ports->count + 1, sizeof(*ports->ports));

	if (more == NULL)
		return lio_fail(lio, -ENOMEM, "out of memory");
	ports->ports = more;
	ports->ports[ports->count++] = *port;
	return 0;
}

static int
read_ports(struct lio *lio, const char *tpg, const struct lio_list *list,
    struct lio_ports *ret)
{
	int error = 0;

	for (unsigned i = 0; i < list->count && error == 0; i++) {
		struct lio_port port = {.number = 0};

		if (!lio_lun_number(list->entries[i].name, &port.number))
			continue;
		error = read_port(lio, tpg, &port, ret);
		if (error == 0)
			error = lio_ports_add(lio, ret, &port);
	}
	return error;
}

int
lio_ports_read(struct lio *lio, const char *tpg, struct lio_ports *ret)
{
	struct lio_path dir = lio_path("%s/lun", tpg);
	struct lio_list list;
	int error;

	*ret = (struct lio_ports){.count = 0};
	error = lio_read_dir(lio, dir.text, &list);
	if (error == 0)
		error = read_ports(lio, tpg, &list, ret);
	lio_list_done(&list);
	if (error < 0)
		lio_ports_done(ret);
	return error;
}

void
lio_ports_done(struct lio_ports *ports)
{
	free(ports->ports);
	ports->ports = NULL;
	ports->count = 0;
}

struct lio_port *
lio_ports_find(const struct lio_ports *ports, const char *device)
{
	for (unsigned i = 0; i < ports->count; i++)
		if (strcmp(ports->ports[i].device, device) == 0)
			return &ports->ports[i];
	return NULL;
}

struct lio_port *
lio_ports_number(const struct lio_ports *ports, unsigned number)
{
	for (unsigned i = 0; i < ports->count; i++)
		if (ports->ports[i].number == number)
			return &ports->ports[i];
	return NULL;
}

int
lio_port_remove(struct lio *lio, const char *tpg, const struct lio_port *port)
{
	struct lio_path dir = lio_path("%s/lun/lun_%u", tpg, port->number);
	struct lio_path link = lio_path("%s/%s", dir.text, port->link);
	int ret = 0;

	if (port->link[0] != '\0')
		ret = lio_remove_link(lio, link.text);
	return ret < 0 ? ret : lio_remove_dir(lio, dir.text);
}

int
lio_port_make(
    struct lio *lio, const char *tpg, unsigned number, const char *device)
{
	struct lio_path dir = lio_path("%s/lun/lun_%u", tpg, number);
	struct lio_path link = lio_path("%s/lnk", dir.text);
	struct lio_path target =
	    lio_path("%s/target%s%s", lio->configfs, OUR_HBA, device);
	int ret = lio_make_dir(lio, dir.text);

	if (ret < 0)
		return ret;
	ret = lio_make_link(lio, target.text, link.text);
	if (ret < 0) /* the kernel does not have the device: leave nothing */
		lio->files->remove_dir(lio->arg, dir.text);
	return ret;
}
