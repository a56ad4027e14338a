# One Makefile, no recursion.  Override variables in config.mak or on the
# command line; `make help` lists the targets.

PREFIX     = /usr/local
LIBDIR     = $(PREFIX)/lib
SYSCONFDIR = /etc
# with a sanitizer only what its reports name: that compiles in 30 % less time
CFLAGS     = $(if $(SAN),-O1 -g1,-O2 -g)
BUILD      = build$(SAN:%=-%)
PKG_CONFIG = pkg-config

-include config.mak

# ---------------------------------------------------------------- the house
#
# Layers from the ground up.  An include points only to the same layer or to
# one further left (tests/tidy.py checks it), and each layer is a library, so a
# unit test links what it may see and nothing else.
LAYERS = base client backup policy backstores snapshot target/scsi target/iscsi target/tcmu target tools pool-plugin
MAINS  = target/main.c tools/varve.c tools/varve-backup.c tools/varve-policy.c

PKGS_base         = liburing libisal uuid
PKGS_client       = jansson
PKGS_backup       = jansson libzstd gnutls libiscsi
PKGS_target/iscsi = gnutls
PKGS_target       = jansson sqlite3 inih libsystemd gnutls
PKGS              = $(sort $(foreach l,$(LAYERS),$(PKGS_$(l))))
TEST_PKGS         = cmocka libiscsi

# ---------------------------------------------------------------- flags
WARN = -Wall -Wextra -Wshadow -Wvla -Wundef -Wcast-qual -Wwrite-strings \
       -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes
ifdef CI
WARN += -Werror
endif
SAN_asan  = -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
SAN_ubsan = -fsanitize=undefined -fno-sanitize-recover=all
SAN_tsan  = -fsanitize=thread

# goals that need no compiler must work before `make deps` has run
ifneq ($(filter-out deps help clean distclean,$(or $(MAKECMDGOALS),all)),)
PKG_CFLAGS := $(shell $(PKG_CONFIG) --silence-errors --cflags $(PKGS) $(TEST_PKGS))
PKG_LIBS   := $(shell $(PKG_CONFIG) --silence-errors --libs $(PKGS))
TEST_LIBS  := $(shell $(PKG_CONFIG) --silence-errors --libs $(TEST_PKGS))
endif
ALL_CFLAGS = -std=gnu17 -D_GNU_SOURCE -I. -I$(BUILD) $(WARN) $(SAN_$(SAN)) $(PKG_CFLAGS) $(CPPFLAGS) $(CFLAGS)
# a program needs what it uses, not what its layers might
ALL_LIBS   = $(SAN_$(SAN)) $(LDFLAGS) -Wl,--as-needed $(PKG_LIBS) -lpthread -lm

# ---------------------------------------------------------------- sources
layer_src = $(filter-out $(MAINS),$(wildcard $(1)/*.c))
layer_lib = $(BUILD)/lib/$(subst /,-,$(1)).a
# the layer itself and all below it, as the linker wants them: top first
below     = $(call below_,$(1),$(LAYERS),)
below_    = $(if $(2),$(if $(filter $(1),$(firstword $(2))),$(firstword $(2)) $(3),$(call below_,$(1),$(wordlist 2,99,$(2)),$(firstword $(2)) $(3))),$(3))
libs      = $(foreach l,$(call below,$(1)),$(call layer_lib,$(l)))

PROGRAMS   = varved varve varve-backup varve-policy
UNIT_TESTS = $(foreach l,$(LAYERS),$(wildcard tests/unit/$(l)/*_test.c))
# programs of several files in tests/<dir>/: linked against everything
TEST_DIRS  = $(patsubst tests/%/main.c,%,$(wildcard tests/*/main.c))
FUZZERS    = $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*_fuzz.c))
TEST_BINS  = $(UNIT_TESTS:%.c=$(BUILD)/%) $(TEST_DIRS:%=$(BUILD)/tests/%/run) $(FUZZERS:%=$(BUILD)/tests/fuzz/%)

# the layer client, as others link it
SONAME     = libvarve.so.1
VERSION    = $(shell sed -n 's/.*VARVE_VERSION "\(.*\)"/\1/p' base/version.h)

# libvirt's plugin: a loader, and the backend for the one version of libvirt whose
# source `make deps` has fetched; without that source it is not built
LIBVIRT_SRC     = build/deps/src/libvirt
LIBVIRT_VERSION = $(shell sed -n "s/^  version: '\(.*\)',/\1/p" $(LIBVIRT_SRC)/meson.build 2>/dev/null)
LIBVIRT_STOCK   = libvirt_storage_backend_iscsi-direct.so
PLUGIN          = $(if $(LIBVIRT_VERSION),$(BUILD)/libvirt/$(LIBVIRT_STOCK) $(BUILD)/libvirt/varve-pool-$(LIBVIRT_VERSION).so)

all: $(PROGRAMS:%=$(BUILD)/%) $(BUILD)/$(SONAME) $(PLUGIN)
tests: all $(TEST_BINS)

# ---------------------------------------------------------------- rules
say = $(if $(V),,@printf '  %-4s %s\n' $(1) $(2);)

$(BUILD)/varved: $(BUILD)/target/main.o $(call libs,target)
$(BUILD)/varve:  $(BUILD)/tools/varve.o $(call libs,tools)
$(BUILD)/varve-backup: $(BUILD)/tools/varve-backup.o $(call libs,tools)
$(BUILD)/varve-policy: $(BUILD)/tools/varve-policy.o $(call libs,tools)
$(PROGRAMS:%=$(BUILD)/%):
	$(call say,LD,$@) $(CC) -o $@ $^ $(ALL_LIBS)

$(BUILD)/client/%.o $(BUILD)/pool-plugin/%.o: ALL_CFLAGS += -fPIC
# a sanitizer's functions are the program's that loads it
$(BUILD)/$(SONAME): $(patsubst %.c,$(BUILD)/%.o,$(call layer_src,client)) client/libvarve.map
	$(call say,LD,$@) $(CC) -shared -Wl,-soname,$(SONAME) -Wl,--version-script=client/libvarve.map \
	    $(if $(SAN),,-Wl,-z,defs) $(SAN_$(SAN)) $(LDFLAGS) -o $@ $(filter %.o,$^) \
	    $(shell $(PKG_CONFIG) --silence-errors --libs $(PKGS_client))
	@ln -sf $(SONAME) $(BUILD)/libvarve.so

# libvirt's headers are not held to our warnings
LIBVIRT_CFLAGS = -isystem $(BUILD)/libvirt/include -isystem $(LIBVIRT_SRC) \
    $(patsubst %,-isystem $(LIBVIRT_SRC)/%,include src src/util src/conf src/storage src/access) \
    $(shell $(PKG_CONFIG) --silence-errors --cflags glib-2.0 libxml-2.0 libvirt)
LIBVIRT_LIBS   = $(shell $(PKG_CONFIG) --silence-errors --libs glib-2.0 libvirt)
LIBVIRT_SOURCES = $(filter-out %/loader.c,$(wildcard pool-plugin/libvirt/*.c))
$(BUILD)/libvirt/include/meson-config.h:
	@mkdir -p $(@D)
	$(call say,GEN,$@) printf '#define WITH_DECL_SYS_PIDFD_OPEN 1\n#define PACKAGE "libvirt"\n' > $@
$(LIBVIRT_SOURCES:%.c=$(BUILD)/%.o): ALL_CFLAGS += -fvisibility=hidden $(LIBVIRT_CFLAGS)
$(LIBVIRT_SOURCES:%.c=$(BUILD)/%.o): $(BUILD)/libvirt/include/meson-config.h
$(BUILD)/pool-plugin/libvirt/loader.o: ALL_CFLAGS += -fvisibility=hidden

$(BUILD)/libvirt/$(LIBVIRT_STOCK): $(BUILD)/pool-plugin/libvirt/loader.o
	@mkdir -p $(@D)
	$(call say,LD,$@) $(CC) -shared $(SAN_$(SAN)) $(LDFLAGS) -o $@ $^
# it finds the storage driver's symbols in libvirtd
$(BUILD)/libvirt/varve-pool-%.so: $(LIBVIRT_SOURCES:%.c=$(BUILD)/%.o) $(call libs,pool-plugin)
	@mkdir -p $(@D)
	$(call say,LD,$@) $(CC) -shared -Wl,--exclude-libs,ALL $(SAN_$(SAN)) $(LDFLAGS) -o $@ \
	    $(filter %.o,$^) $(call layer_lib,pool-plugin) $(call layer_lib,client) \
	    $(shell $(PKG_CONFIG) --libs jansson libiscsi) $(LIBVIRT_LIBS) -lpthread

define LAYER_RULES
$(call layer_lib,$(1)): $$(patsubst %.c,$$(BUILD)/%.o,$$(call layer_src,$(1)))
	@mkdir -p $$(@D)
	$$(call say,AR,$$@) rm -f $$@ && $$(AR) rcs $$@ $$^

$$(patsubst %.c,$$(BUILD)/%,$$(wildcard tests/unit/$(1)/*_test.c)): %: %.o $$(patsubst %.c,$$(BUILD)/%.o,$$(wildcard tests/unit/$(1)/support/*.c)) $$(call libs,$(1))
	$$(call say,LD,$$@) $$(CC) -o $$@ $$^ $$(TEST_LIBS) $$(ALL_LIBS)
endef
$(foreach l,$(LAYERS),$(eval $(call LAYER_RULES,$(l))))

define TEST_DIR_RULES
$(BUILD)/tests/$(1)/run: $$(patsubst %.c,$$(BUILD)/%.o,$$(wildcard tests/$(1)/*.c)) $$(call libs,tools)
	$$(call say,LD,$$@) $$(CC) -o $$@ $$^ $$(TEST_LIBS) $$(ALL_LIBS)
endef
$(foreach d,$(TEST_DIRS),$(eval $(call TEST_DIR_RULES,$(d))))

# A fuzzer is one file with LLVMFuzzerTestOneInput.  With CC=clang FUZZ=1 it is
# a libFuzzer program; otherwise it links tests/fuzz/replay.c and runs a corpus.
FUZZ_MAIN = $(if $(FUZZ),,$(BUILD)/tests/fuzz/replay.o)
ifdef FUZZ
SAN_$(SAN) += -fsanitize=fuzzer-no-link
endif
# ... and the parts of large ones
$(BUILD)/tests/fuzz/image_fuzz: $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/fuzz/image/*.c))
$(BUILD)/tests/fuzz/pdu_fuzz $(BUILD)/tests/fuzz/session_fuzz: $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/fuzz/stack/*.c))
$(FUZZERS:%=$(BUILD)/tests/fuzz/%): %: %.o $(FUZZ_MAIN) $(call libs,tools)
	$(call say,LD,$@) $(CC) $(if $(FUZZ),-fsanitize=fuzzer) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(ALL_LIBS)

$(BUILD)/tests/bench/tcmu_floor: $(call libs,target/tcmu)
$(BUILD)/tests/bench/pingpong $(BUILD)/tests/bench/tcmu_floor: %: %.o
	$(call say,LD,$@) $(CC) -o $@ $^ $(ALL_LIBS)

# The ring driver over libtcmu is built if its headers are there (make deps), or
# not with LIBTCMU=; built anew when that has changed.
TCMU_SOURCE = build/deps/src/tcmu
LIBTCMU     = $(if $(wildcard $(TCMU_SOURCE)/libtcmu.h),1)
$(BUILD)/target/tcmu/ring_libtcmu.o: ALL_CFLAGS += $(if $(LIBTCMU),-idirafter $(TCMU_SOURCE))
$(BUILD)/target/tcmu/ring_libtcmu.o: $(BUILD)/libtcmu
$(BUILD)/libtcmu: always
	@mkdir -p $(@D) && echo '$(LIBTCMU)' | cmp -s - $@ || echo '$(LIBTCMU)' > $@

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<) $(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# ---------------------------------------------------------------- targets
deps:
	tests/deps.sh

demo: deps
	$(MAKE) all
	BUILD=$(BUILD) tools/demo.sh

# the fake server of libvarve's tests
$(BUILD)/tests/unit/pool-plugin/share_test: $(BUILD)/tests/unit/client/support/fake_server.o

# Plain, then with ASan and UBSan, then (what has threads) with TSan.
TSAN_TESTS = $(foreach l,base target/iscsi target,$(wildcard tests/unit/$(l)/*_test.c)) \
	$(foreach t,belt pack,tests/unit/backup/$(t)_test.c)
# on all processors, unless the caller has said how many jobs
JOBS = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell nproc))
test: deps
	$(MAKE) $(JOBS) tests
	$(MAKE) $(JOBS) SAN=asan BUILD=$(BUILD)-asan CFLAGS='-O1 -g1' tests
	$(MAKE) $(JOBS) SAN=tsan BUILD=$(BUILD)-tsan CFLAGS='-O1 -g1' $(TSAN_TESTS:%.c=$(BUILD)-tsan/%)
	BUILD=$(BUILD) tests/run.py

# What needs a kernel with LIO and an iSCSI initiator: all suites, in QEMU
test-guest: deps
	$(MAKE) all
	BUILD=$(BUILD) tests/guest/suite.py

# libvirt with varve's plugin, all of it: system and session, guests, faults
test-libvirt:
	tests/deps.sh libvirt
	$(MAKE) all
	$(MAKE) SAN=asan BUILD=$(BUILD)-asan CFLAGS='-O1 -g1' all
	BUILD=$(BUILD) tests/libvirt/suite.py

# What Ceph makes of backups: a cluster of one node, on 127.0.0.1
test-ceph:
	tests/deps.sh ceph
	$(MAKE) all
	BUILD=$(BUILD) tests/ceph/suite.py

# varve backup send through OpenSSH, with an sshd of the test's own
test-ssh: deps
	tests/deps.sh sshd
	$(MAKE) all
	BUILD=$(BUILD) tests/ssh/suite.py

# What the manual says of other programs, with these
test-recipes:
	tests/deps.sh recipes
	$(MAKE) all
	BUILD=$(BUILD) tests/recipes/suite.sh

tidy:
	python3 tests/tidy.py

bench: deps
	$(MAKE) all $(BUILD)/tests/bench/pingpong
	BUILD=$(BUILD) tests/bench/run.py

# in instructions, in a guest: the carrier tcmu-loop beside its peers there
bench-tcmu: deps
	$(MAKE) all $(BUILD)/tests/bench/tcmu_floor
	BUILD=$(BUILD) tests/bench/tcmu.py

bench-libvirt: deps
	$(MAKE) all
	BUILD=$(BUILD) tests/bench/libvirt.py

bench-snapshots: deps
	$(MAKE) all $(BUILD)/tests/scale/run
	BUILD=$(BUILD) tests/bench/snapshots.py

bench-backup: deps
	$(MAKE) all
	BUILD=$(BUILD) tests/bench/backup.py

conformance: deps
	$(MAKE) all
	BUILD=$(BUILD) tests/conformance/report.py

soak: deps
	$(MAKE) tests
	BUILD=$(BUILD) tests/soak.sh

fuzz: deps
	tests/fuzz/run.sh

DOCS_MAN = $(wildcard docs/man/*.scd)
man: $(DOCS_MAN:docs/man/%.scd=$(BUILD)/man/%)
$(BUILD)/man/%: docs/man/%.scd
	@mkdir -p $(@D)
	$(call say,MAN,$@) scdoc < $< > $@

install-libvarve: $(BUILD)/$(SONAME)
	install -D -m 644 -t $(DESTDIR)$(LIBDIR) $(BUILD)/$(SONAME)
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/libvarve.so
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/include client/varve.h
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig
	sed 's,@PREFIX@,$(PREFIX),; s,@LIBDIR@,$(LIBDIR),; s,@VERSION@,$(VERSION),' client/libvarve.pc.in > $(DESTDIR)$(LIBDIR)/pkgconfig/libvarve.pc

# libvirt does not load it from there: varve-libvirt-plugin puts it in its place
install-plugin: $(PLUGIN)
	$(if $(PLUGIN),install -D -m 644 -t $(DESTDIR)$(LIBDIR)/varve/libvirt $(PLUGIN))
	install -d $(DESTDIR)$(PREFIX)/sbin
	sed 's,@LIBDIR@,$(LIBDIR),' packaging/varve-libvirt-plugin > $(DESTDIR)$(PREFIX)/sbin/varve-libvirt-plugin
	chmod 755 $(DESTDIR)$(PREFIX)/sbin/varve-libvirt-plugin
	[ -e $(DESTDIR)$(SYSCONFDIR)/varve/libvirt.conf ] || \
	    install -D -m 644 -t $(DESTDIR)$(SYSCONFDIR)/varve packaging/libvirt.conf

# an administrator's varve.conf is left alone
install: all man install-libvarve install-plugin
	install -D -t $(DESTDIR)$(PREFIX)/sbin $(BUILD)/varved $(BUILD)/varve-policy
	install -D -t $(DESTDIR)$(PREFIX)/bin $(BUILD)/varve $(BUILD)/varve-backup
	[ -e $(DESTDIR)$(SYSCONFDIR)/varve/varve.conf ] || \
	    install -D -m 644 -t $(DESTDIR)$(SYSCONFDIR)/varve packaging/varve.conf
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's,/usr/local/sbin,$(PREFIX)/sbin,' packaging/varved.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/varved.service
	install -d $(DESTDIR)$(PREFIX)/share/varve
	sed 's,/usr/local/sbin,$(PREFIX)/sbin,' packaging/varved-tcmu.conf > $(DESTDIR)$(PREFIX)/share/varve/varved-tcmu.conf
	sed 's,/usr/local/sbin,$(PREFIX)/sbin,' packaging/varved-release.service > $(DESTDIR)$(PREFIX)/share/varve/varved-release.service
	install -d $(DESTDIR)$(SYSCONFDIR)/varve/quiesce.d
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/share/varve/quiesce.d packaging/quiesce.d/libvirt
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/varve/quiesce.d packaging/quiesce.d/libvirt.conf
	install -D -m 644 packaging/varve.sysusers.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/varve.conf
	install -D -m 644 packaging/varve.tmpfiles.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/varve.conf
	for m in $(BUILD)/man/*; do install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man$${m##*.} $$m; done
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions \
	    $(DESTDIR)$(PREFIX)/share/zsh/site-functions $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	$(BUILD)/varve completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/varve
	$(BUILD)/varve completion zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_varve
	$(BUILD)/varve completion fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/varve.fish

help:
	@echo 'make            varved and varve in $(BUILD)/'
	@echo 'make deps       install what building and testing needs (Debian 12, root)'
	@echo 'make demo       make a pool and a LUN, serve it on 127.0.0.1, say how to connect'
	@echo 'make test       every test that fits in minutes; ends with N passed, N failed'
	@echo 'make test-guest         in virtual machines: the kernel as initiator, and its target'
	@echo 'make test-libvirt       libvirtd with the plugin: volumes, guests, faults, under ASan'
	@echo 'make test-ceph          backups, judged by a Ceph of one node'
	@echo 'make test-ssh           backups sent through a real ssh'
	@echo 'make test-recipes       snapshots into restic and borg, and back; metrics into Prometheus'
	@echo 'make soak|fuzz|bench   hours of simulation, fuzzing; speed against peers'
	@echo 'make conformance        docs/conformance.md anew, from iscsi-test-cu and a peer'
	@echo 'make tidy       house rules;  make install  PREFIX=$(PREFIX) DESTDIR='
	@echo 'SAN=asan|ubsan|tsan  CC=clang  V=1  BUILD=dir  LIBTCMU= (without)  CI=1 (warnings are errors)'

clean:
	rm -rf build build-asan build-ubsan build-tsan build-fuzz build-fuzz-tsan
distclean: clean
	rm -f config.mak

always:
.PHONY: always all tests deps demo test test-ceph test-guest test-libvirt test-recipes test-ssh tidy bench bench-backup bench-libvirt bench-tcmu bench-snapshots conformance soak fuzz man install install-libvarve install-plugin help clean distclean
.SECONDARY:
.DELETE_ON_ERROR:
# not of the sources that deps unpacks: theirs are no makefiles, or not ours
-include $(shell find $(BUILD) -path $(BUILD)/deps -prune -o -name '*.d' -print 2>/dev/null)
