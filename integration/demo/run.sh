#!/bin/sh
# `npm run demo`: builds it and runs it. What it can do is told at once, for that nothing has to be built.
set -e
for word in "$@"; do
  if [ "$word" = --help ]; then exec cat integration/demo/help.txt; fi
done
echo Building… >&2
npm run --silent build
exec node dist/integration/demo/main.js "$@"
