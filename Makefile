# onec_fdw: build, install and test with PGXS.  PG_CONFIG chooses the server's version.  "make -f HERE/Makefile" builds
# in another directory.
TREE       := $(patsubst %/,%,$(dir $(lastword $(MAKEFILE_LIST))))
EXTENSION   = onec_fdw
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" $(TREE)/$(EXTENSION).control)
MODULE_big  = onec_fdw
OBJS        = $(patsubst $(TREE)/%.c,%.o,$(sort $(wildcard $(addprefix $(TREE)/src/,*.c */*.c */*/*.c))))
# Scripts of versions that are out stand in sql/ and are never made again; that of the version worked on is made of
# sql/install.  doc/release.md tells how one becomes the other.
RELEASED    = $(shell grep -l "^-- onec_fdw [0-9.]*, as released" $(TREE)/sql/onec_fdw--*.sql 2>/dev/null)
DATA        = $(patsubst $(TREE)/%,%,$(RELEASED) $(wildcard $(TREE)/sql/updates/onec_fdw--*--*.sql))
DATA_built  = $(if $(filter %--$(EXTVERSION).sql,$(RELEASED)),,$(SCRIPT))
SCRIPT      = .build/onec_fdw--$(EXTVERSION).sql
PARTS       = $(sort $(wildcard $(TREE)/sql/install/[0-9][0-9]_*/[0-9][0-9]_*.sql))
INCLUDED    = $(wildcard $(addprefix $(TREE)/src/,*.h */*.h */*/*.h))
EXTRA_CLEAN = .build results regression.diffs regression.out tmp_check output_iso

LIBRARIES   = libcurl json-c expat zlib
PKG_CONFIG ?= pkg-config
PG_CONFIG  ?= pg_config
PGXS       := $(wildcard $(shell $(PG_CONFIG) --pgxs 2>/dev/null))

.DEFAULT_GOAL := all

ifneq ($(PGXS),)
# The server's headers hold unused parameters and comparisons of mixed sign in inline functions: -isystem
# keeps -Wextra for our own text.  Callbacks and SQL functions have parameters by contract, used or not.
PG_CPPFLAGS = -I$(srcdir)/src -isystem $(shell $(PG_CONFIG) --includedir-server) \
              $(shell $(PKG_CONFIG) --cflags $(LIBRARIES))
PG_CFLAGS   = -Wall -Wextra -Wno-unused-parameter -fno-semantic-interposition
SHLIB_LINK  = $(shell $(PKG_CONFIG) --libs $(LIBRARIES)) -lm -Wl,-Bsymbolic-functions

# No function here is worth inlining into compiled expressions, so no bitcode is made and clang is not needed.
override with_llvm = no

# In another directory than the tree's own these are not there; by rules of their own VPATH would find the tree's.
ifneq ($(TREE),.)
$(shell mkdir -p $(sort $(dir $(OBJS))))
endif

include $(PGXS)

$(OBJS): $(INCLUDED) | libraries

libraries:
	@$(PKG_CONFIG) --exists --print-errors $(LIBRARIES) || \
	{ echo "libcurl, json-c, expat or zlib lacks its development files: test/packages.sh installs them" >&2; exit 1; }
else
all install clean:
	@echo "no development files of PostgreSQL found by \"$(PG_CONFIG)\": test/packages.sh installs them," \
	      "or name another PG_CONFIG" >&2; exit 1
endif

$(SCRIPT): $(PARTS)
	mkdir -p $(@D)
	cat $(PARTS) > $@

# The version of the control file is finished: its script comes into the tree, for good.
freeze:
	$(TREE)/sql/release freeze

# What PGXN takes: onec_fdw-1.0.0.zip of what is committed, with the install script.
dist:
	$(TREE)/sql/release dist

# The scripts below install missing packages, build by themselves and need no running server.
export PG_CONFIG

test:
	$(TREE)/test/run

test-full:
	TEST_FULL=1 $(TREE)/test/run

# Regression tests against the running server that PGHOST and PGPORT name, after "make install".
installcheck:
	$(TREE)/test/run installcheck

unit:
	$(TREE)/test/run unit

lint:
	$(TREE)/test/run lint

fuzz:
	$(TREE)/test/run fuzz

bench:
	$(TREE)/test/bench/run
	$(TREE)/test/bench/whole

demo:
	$(TREE)/test/demo

demo-stop:
	$(TREE)/test/demo stop

.PHONY: all install installcheck test test-full unit lint fuzz bench demo demo-stop clean libraries freeze dist
