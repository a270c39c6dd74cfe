# What the sections of the benchmark share. A section is a program that prints
# a heading and a table in Markdown on stdout, and its progress on stderr.
# shellcheck shell=bash

# bound MEASURED MOST says whether a figure keeps within its bound.
bound() {
	awk -v measured="$1" -v most="$2" 'BEGIN { print (measured + 0 <= most + 0 ? "met" : "**missed**") }'
}

# ratio A B prints A / B.
ratio() {
	awk -v a="$1" -v b="$2" 'BEGIN { if (b <= 0) exit 1; printf "%.2f", a / b }'
}

# row WHAT AGAINST RATIO [MOST [UNIT]] prints a line of a table; without MOST it is
# there to compare only.
row() {
	local most='' verdict='' unit=${5-×}
	if [[ ! $3 =~ ^[0-9.]+$ ]]; then
		progress "row: no figure for $1"
		return 1
	fi
	[[ -z ${4-} ]] || most="≤ $4${unit:+ $unit}" verdict=$(bound "$3" "$4")
	printf '| %s | %s | %s | %s | %s |\n' "$1" "$2" "$3${unit:+ $unit}" "$most" "$verdict"
}

progress() {
	printf '%s\n' "$*" >&2
}

# compare NAME COMMAND [NAME COMMAND]... times the commands side by side and
# sets median[NAME], in milliseconds. They take turns in rounds, in the opposite
# order every other time, so that a machine that slows down slows all of them.
declare -A median
compare() {
	local forward=() backward=() file
	while (($#)); do
		forward+=(--command-name "$1" "$2")
		backward=(--command-name "$1" "$2" "${backward[@]}")
		shift 2
	done

	local results=() log=$WORK/hyperfine.log
	for ((round = 1; round <= ROUNDS; round++)); do
		file=$WORK/round-$round.json
		local commands=("${forward[@]}")
		((round % 2)) || commands=("${backward[@]}")
		hyperfine --shell none --style none --warmup 3 --runs "$RUNS" \
			--export-json "$file" "${commands[@]}" >"$log" 2>&1 || { cat "$log" >&2; return 1; }
		results+=("$file")
	done

	local name milliseconds
	while IFS=$'\t' read -r name milliseconds; do
		# shellcheck disable=SC2034 # the sections use it
		median[$name]=$milliseconds
		progress "$(printf '  %-12s %8.2f ms' "$name" "$milliseconds")"
	done < <(jq --raw-output --slurp '
		[.[].results[] | {command, time: .times[]}] | group_by(.command)[]
		| [.[0].command, ([.[].time] | sort | .[length / 2 | floor] * 1000)] | @tsv' "${results[@]}")
}

# in_namespace COMMAND... becomes an unshare that runs COMMAND as PID 1 of a
# namespace with a /proc of its own, and takes it down with itself.
in_namespace() {
	local map=()
	((EUID == 0)) || map=(--map-root-user)
	exec unshare --pid --fork --kill-child --mount-proc "${map[@]}" "$@"
}
