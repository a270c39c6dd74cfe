#!/bin/sh
# loop.sh DIR COMMAND [ARG...]: what an entrypoint written in shell does.
dir=$1
shift
for file in "$dir"/*; do
	value=$("$file") || exit 125
	export "${file##*/}=$value"
done
exec "$@"
