# shellcheck shell=bash disable=SC2207
# Completes envharness in bash. Written by make generate.

# Sets options to those of a command.
_envharness_options() {
	case $1 in
	'') options='--environment --export --secrets --names --executable --expand-files --jobs --export-last --timeout --deadline --retries --retry-delay --fail-fast --cache --cache-max-age --env-file --require --empty --prefer-inherited --pristine --pass --as-file --files --prepare --user --chdir --init --grace --stop-signal --signal-map --group --expect-exit --parent-death-signal --socket --refresh --on-change --change-delay --write --ready --health --health-interval --health-failures --export-when-ready --timeline --timeline-svg --log-level --log-format --help --version' ;;
	'print') options='--format --output --all --mask --environment --export --secrets --names --executable --expand-files --jobs --export-last --timeout --deadline --retries --retry-delay --fail-fast --cache --cache-max-age --env-file --require --empty --prefer-inherited --pristine --pass --timeline --timeline-svg --log-level --log-format --help --version' ;;
	'exec') options='--environment --export --secrets --names --executable --expand-files --jobs --export-last --timeout --deadline --retries --retry-delay --fail-fast --cache --cache-max-age --env-file --require --empty --prefer-inherited --pristine --pass --as-file --files --prepare --user --chdir --timeline --timeline-svg --log-level --log-format --help --version' ;;
	'check') options='--json --environment --export --secrets --names --executable --expand-files --log-level --log-format --help --version' ;;
	'diff') options='--json --names --executable --expand-files --log-level --log-format --help --version' ;;
	'install') options='--log-level --log-format --help --version' ;;
	'notify') options='--log-level --log-format --help --version' ;;
	'status') options='--socket --format --log-level --log-format --help --version' ;;
	'ready') options='--socket --log-level --log-format --help --version' ;;
	'drain') options='--socket --log-level --log-format --help --version' ;;
	'resume') options='--socket --log-level --log-format --help --version' ;;
	esac
}

# Sets kind to what an option of a command takes; fails for one that takes nothing.
_envharness_takes() {
	case "$1 $2" in
	' --environment') kind='@directories' ;;
	' --export') kind='@directories' ;;
	' --secrets') kind='@directories' ;;
	' --names') kind='strict skip upper' ;;
	' --executable') kind='mode content' ;;
	' --jobs') kind='' ;;
	' --timeout') kind='' ;;
	' --deadline') kind='' ;;
	' --retries') kind='' ;;
	' --retry-delay') kind='' ;;
	' --cache') kind='@directories' ;;
	' --cache-max-age') kind='' ;;
	' --env-file') kind='@files' ;;
	' --require') kind='' ;;
	' --empty') kind='keep unset fail' ;;
	' --pass') kind='' ;;
	' --as-file') kind='' ;;
	' --files') kind='@directories' ;;
	' --prepare') kind='@files' ;;
	' --user') kind='@users' ;;
	' --chdir') kind='@directories' ;;
	' --grace') kind='' ;;
	' --stop-signal') kind='TERM INT HUP QUIT USR1 USR2 WINCH KILL' ;;
	' --signal-map') kind='' ;;
	' --expect-exit') kind='' ;;
	' --parent-death-signal') kind='TERM INT HUP QUIT USR1 USR2 WINCH KILL' ;;
	' --socket') kind='@files' ;;
	' --refresh') kind='' ;;
	' --on-change') kind='restart signal= exec= exit none' ;;
	' --change-delay') kind='' ;;
	' --write') kind='@files' ;;
	' --ready') kind='@files' ;;
	' --health') kind='@files' ;;
	' --health-interval') kind='' ;;
	' --health-failures') kind='' ;;
	' --timeline-svg') kind='@files' ;;
	' --log-level') kind='debug info warn error' ;;
	' --log-format') kind='text json' ;;
	'print --format') kind='sh dotenv json nul docker table' ;;
	'print --output') kind='@files' ;;
	'print --environment') kind='@directories' ;;
	'print --export') kind='@directories' ;;
	'print --secrets') kind='@directories' ;;
	'print --names') kind='strict skip upper' ;;
	'print --executable') kind='mode content' ;;
	'print --jobs') kind='' ;;
	'print --timeout') kind='' ;;
	'print --deadline') kind='' ;;
	'print --retries') kind='' ;;
	'print --retry-delay') kind='' ;;
	'print --cache') kind='@directories' ;;
	'print --cache-max-age') kind='' ;;
	'print --env-file') kind='@files' ;;
	'print --require') kind='' ;;
	'print --empty') kind='keep unset fail' ;;
	'print --pass') kind='' ;;
	'print --timeline-svg') kind='@files' ;;
	'print --log-level') kind='debug info warn error' ;;
	'print --log-format') kind='text json' ;;
	'exec --environment') kind='@directories' ;;
	'exec --export') kind='@directories' ;;
	'exec --secrets') kind='@directories' ;;
	'exec --names') kind='strict skip upper' ;;
	'exec --executable') kind='mode content' ;;
	'exec --jobs') kind='' ;;
	'exec --timeout') kind='' ;;
	'exec --deadline') kind='' ;;
	'exec --retries') kind='' ;;
	'exec --retry-delay') kind='' ;;
	'exec --cache') kind='@directories' ;;
	'exec --cache-max-age') kind='' ;;
	'exec --env-file') kind='@files' ;;
	'exec --require') kind='' ;;
	'exec --empty') kind='keep unset fail' ;;
	'exec --pass') kind='' ;;
	'exec --as-file') kind='' ;;
	'exec --files') kind='@directories' ;;
	'exec --prepare') kind='@files' ;;
	'exec --user') kind='@users' ;;
	'exec --chdir') kind='@directories' ;;
	'exec --timeline-svg') kind='@files' ;;
	'exec --log-level') kind='debug info warn error' ;;
	'exec --log-format') kind='text json' ;;
	'check --environment') kind='@directories' ;;
	'check --export') kind='@directories' ;;
	'check --secrets') kind='@directories' ;;
	'check --names') kind='strict skip upper' ;;
	'check --executable') kind='mode content' ;;
	'check --log-level') kind='debug info warn error' ;;
	'check --log-format') kind='text json' ;;
	'diff --names') kind='strict skip upper' ;;
	'diff --executable') kind='mode content' ;;
	'diff --log-level') kind='debug info warn error' ;;
	'diff --log-format') kind='text json' ;;
	'install --log-level') kind='debug info warn error' ;;
	'install --log-format') kind='text json' ;;
	'notify --log-level') kind='debug info warn error' ;;
	'notify --log-format') kind='text json' ;;
	'status --socket') kind='@files' ;;
	'status --format') kind='json prometheus' ;;
	'status --log-level') kind='debug info warn error' ;;
	'status --log-format') kind='text json' ;;
	'ready --socket') kind='@files' ;;
	'ready --log-level') kind='debug info warn error' ;;
	'ready --log-format') kind='text json' ;;
	'drain --socket') kind='@files' ;;
	'drain --log-level') kind='debug info warn error' ;;
	'drain --log-format') kind='text json' ;;
	'resume --socket') kind='@files' ;;
	'resume --log-level') kind='debug info warn error' ;;
	'resume --log-format') kind='text json' ;;
	*) return 1 ;;
	esac
}

# Sets kind to what the word of a command at a place is.
_envharness_word() {
	case "$1 $2" in
	' 0') kind='print exec check diff install notify status ready drain resume @programs' ;;
	''\ *) kind='@programs' ;;
	'print 0') kind='' ;;
	'exec 0') kind='@programs' ;;
	'exec'\ *) kind='@programs' ;;
	'check 0') kind='@directories' ;;
	'check'\ *) kind='@directories' ;;
	'diff 0') kind='@directories' ;;
	'diff'\ *) kind='@directories' ;;
	'install 0') kind='@files' ;;
	'install'\ *) kind='@files' ;;
	'notify 0') kind='READY=1 VALID_USEC= STATUS= RELOADING=1 STOPPING=1 MAINPID= WATCHDOG=1' ;;
	'notify'\ *) kind='READY=1 VALID_USEC= STATUS= RELOADING=1 STOPPING=1 MAINPID= WATCHDOG=1' ;;
	'status 0') kind='' ;;
	'ready 0') kind='' ;;
	'drain 0') kind='' ;;
	'resume 0') kind='' ;;
	*) kind='' ;;
	esac
}

# Offers words of the kind.
_envharness_offer() {
	local word=$1 IFS=$'\n'
	COMPREPLY=()
	for one in ${kind// /$'\n'}; do
		case $one in
		@files) compopt -o filenames 2>/dev/null; COMPREPLY+=($(compgen -f -- "$word")) ;;
		@directories) compopt -o filenames 2>/dev/null; COMPREPLY+=($(compgen -d -- "$word")) ;;
		@users) COMPREPLY+=($(compgen -u -- "$word")) ;;
		@programs) COMPREPLY+=($(compgen -c -- "$word")) ;;
		@services) COMPREPLY+=($(compgen -W "$(envharness services 2>/dev/null)" -- "$word")) ;;
		@values) COMPREPLY+=($(compgen -W "$(envharness ls 2>/dev/null)" -- "$word")) ;;
		*) COMPREPLY+=($(compgen -W "$one" -- "$word")) ;;
		esac
	done
	[[ ${#COMPREPLY[@]} != 1 || ${COMPREPLY[0]} != *= ]] || compopt -o nospace 2>/dev/null
}

_envharness() {
	local command='' place=0 ended='' begins='' kind='' options='' one='' last='' i word
	local -a words=() at=()
	# Readline takes --name=value apart at =.
	for ((i = 0; i <= COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if [[ $last == --* && $word == = || $last == --*= ]]; then
			last+=$word
			words[${#words[@]} - 1]=$last
		else
			last=$word
			words+=("$word") at+=("$i")
		fi
	done
	for ((i = 1; i < ${#words[@]} - 1; i++)); do
		word=${words[i]}
		case $word in
		--)
			ended=yes
			case $command in '' | 'exec') begins=$((i + 1)) ;; esac
			;;
		-*=*) ;;
		-*) [[ $ended ]] || ! _envharness_takes "$command" "$word" || ((++i)) ;;
		*)
			if [[ ! $command && $i == 1 && ' print exec check diff install notify status ready drain resume ' == *" $word "* ]]; then
				command=$word
				continue
			fi
			case $command in '' | 'exec') begins=$i ;; esac
			((++place))
			;;
		esac
		[[ ! $begins ]] || break
	done
	word=${words[${#words[@]} - 1]}
	if [[ $begins ]] && ((begins < ${#words[@]})); then
		if declare -F _command_offset >/dev/null; then
			_command_offset "${at[begins]}"
		elif ((begins == ${#words[@]} - 1)); then
			kind=@programs
			_envharness_offer "$word"
		else
			kind=@files
			_envharness_offer "$word"
		fi
		return
	fi
	if ((i >= ${#words[@]})); then # the last option waits for its argument
		_envharness_offer "$word"
	elif [[ $word == --*=* && ! $ended ]]; then
		_envharness_takes "$command" "${word%%=*}" && _envharness_offer "${word#*=}"
	elif [[ $word == -* && ! $ended ]]; then
		_envharness_options "$command"
		kind=$options
		_envharness_offer "$word"
	else
		_envharness_word "$command" "$place"
		_envharness_offer "$word"
	fi
}

complete -F _envharness envharness
