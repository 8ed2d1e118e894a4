#!/bin/sh
# check_gloo_object.sh NM ARCHIVE: fails if gloo_process_group.cc.o calls, makes
# or derives from a Gloo class. Gloo lives inside libtorch; the headers in
# src/collective/gloo_shim are declarations only, and a use of one of them would
# compile and then break in memory.
set -eu
nm=$1
archive=$2

# Lines "symbol" of the one object. c10d's own names may mention gloo types.
object=$("$nm" -C --format=posix "$archive" |
  sed -n '/\[gloo_process_group\.cc\.o\]:$/,/^$/p')
if [ -z "$object" ]; then
  echo "no gloo_process_group.cc.o in $archive" >&2
  exit 1
fi

undefined=$(printf '%s\n' "$object" | grep -E ' U *$' | grep -E '^gloo::' || true)
tables=$(printf '%s\n' "$object" |
  grep -E '^(vtable|typeinfo|typeinfo name) for gloo::' || true)
if [ -n "$undefined$tables" ]; then
  echo "gloo_process_group.cc uses Gloo itself:" >&2
  printf '%s\n%s\n' "$undefined" "$tables" >&2
  exit 1
fi
echo "no symbol of Gloo in $(printf '%s\n' "$object" | wc -l) symbols"
