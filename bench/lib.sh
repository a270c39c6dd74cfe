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

# spread prints the median and the quartiles of the numbers on stdin.
spread() {
	sort --general-numeric-sort | awk '{ all[NR] = $1 }
		function at(part) { return all[int((NR - 1) * part + 1.5)] }
		END { if (!NR) exit 1; printf "%.2f %.2f %.2f\n", at(0.5), at(0.25), at(0.75) }'
}

# against NAME PEER prints the median of the rounds' ratios of what compare measured, and its quartiles.
against() {
	paste "$WORK/rounds-$1" "$WORK/rounds-$2" | awk '$2 > 0 { print $1 / $2 }' | spread
}

# row WHAT AGAINST "MEASURED [LOW HIGH]" [MOST [UNIT]] prints a line of a table, with
# the quartiles of its rounds; without MOST it is there to compare only.
row() {
	local most='' verdict='' unit=${5-×} measured low high
	read -r measured low high <<<"$3"
	if [[ ! $measured =~ ^[0-9.]+$ ]]; then
		progress "row: no figure for $1"
		return 1
	fi
	[[ -z ${4-} ]] || most="≤ $4${unit:+ $unit}" verdict=$(bound "$measured" "$4")
	printf '| %s | %s | %s | %s | %s |\n' "$1" "$2" "$measured${unit:+ $unit}${high:+ ($low–$high)}" "$most" "$verdict"
}

progress() {
	printf '%s\n' "$*" >&2
}

# compare NAME COMMAND [NAME COMMAND]... times the commands side by side, for
# against. They take turns in rounds, in the opposite order every other time, so
# that a machine that slows down slows all of them.
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

	local name median low high
	for file in "${results[@]}"; do
		jq --raw-output '.results[] | [.command, .median * 1000] | @tsv' "$file"
	done >"$WORK/rounds"
	while read -r name; do
		awk -v name="$name" '$1 == name { print $2 }' "$WORK/rounds" >"$WORK/rounds-$name"
		read -r median low high < <(spread <"$WORK/rounds-$name")
		progress "$(printf '  %-12s %8.2f ms (%.2f to %.2f)' "$name" "$median" "$low" "$high")"
	done < <(cut --fields 1 "$WORK/rounds" | sort --unique)
}

# in_namespace COMMAND... becomes an unshare that runs COMMAND as PID 1 of a
# namespace with a /proc of its own, and takes it down with itself.
in_namespace() {
	local map=()
	((EUID == 0)) || map=(--map-root-user)
	exec unshare --pid --fork --kill-child --mount-proc "${map[@]}" "$@"
}
