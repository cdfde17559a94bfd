# Short names for the everyday commands; each works without just too.

# What CI checks.
check:
    .ci/run

# All tests; arguments go to cargo test.
test *arguments:
    bin/test {{ arguments }}

# Refreshes .sqlx/ after a query or a migration has changed.
prepare:
    bin/prepare

# The demo; arguments go to `syncline demo`.
demo *arguments:
    bin/demo {{ arguments }}

# Licences, bans, sources and advisories of the dependencies.
audit:
    bin/audit
