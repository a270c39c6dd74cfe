# shellcheck shell=bash disable=SC2207
# Completes envdiscoverd in bash. Written by make generate.

# Sets options to those of a command.
_envdiscoverd_options() {
	case $1 in
	'') options='--data --etcd --listen --containers --bridge --auth --cert --key --ca --insecure --host --docker --registry --variable --host-ip --host-id --realm --prefix --docker-url --docker-address --docker-health --docker-registrator --docker-allow --log-level --log-format --help --version' ;;
	esac
}

# Sets kind to what an option of a command takes; fails for one that takes nothing.
_envdiscoverd_takes() {
	case "$1 $2" in
	' --data') kind='@directories' ;;
	' --etcd') kind='' ;;
	' --listen') kind='' ;;
	' --bridge') kind='' ;;
	' --cert') kind='@files' ;;
	' --key') kind='@files' ;;
	' --ca') kind='@files' ;;
	' --host') kind='' ;;
	' --registry') kind='' ;;
	' --variable') kind='' ;;
	' --host-ip') kind='' ;;
	' --host-id') kind='' ;;
	' --realm') kind='' ;;
	' --prefix') kind='' ;;
	' --docker-url') kind='' ;;
	' --docker-address') kind='host container' ;;
	' --docker-health') kind='state ignore' ;;
	' --docker-allow') kind='' ;;
	' --log-level') kind='debug info warn error' ;;
	' --log-format') kind='text json' ;;
	*) return 1 ;;
	esac
}

# Sets kind to what the word of a command at a place is.
_envdiscoverd_word() {
	case "$1 $2" in
	' 0') kind='' ;;
	*) kind='' ;;
	esac
}

# Offers words of the kind.
_envdiscoverd_offer() {
	local word=$1 IFS=$'\n'
	COMPREPLY=()
	for one in ${kind// /$'\n'}; do
		case $one in
		@files) compopt -o filenames 2>/dev/null; COMPREPLY+=($(compgen -f -- "$word")) ;;
		@directories) compopt -o filenames 2>/dev/null; COMPREPLY+=($(compgen -d -- "$word")) ;;
		@users) COMPREPLY+=($(compgen -u -- "$word")) ;;
		@programs) COMPREPLY+=($(compgen -c -- "$word")) ;;
		@services) COMPREPLY+=($(compgen -W "$(envdiscoverd services 2>/dev/null)" -- "$word")) ;;
		@values) COMPREPLY+=($(compgen -W "$(envdiscoverd ls 2>/dev/null)" -- "$word")) ;;
		*) COMPREPLY+=($(compgen -W "$one" -- "$word")) ;;
		esac
	done
	[[ ${#COMPREPLY[@]} != 1 || ${COMPREPLY[0]} != *= ]] || compopt -o nospace 2>/dev/null
}

_envdiscoverd() {
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
			case $command in none) begins=$((i + 1)) ;; esac
			;;
		-*=*) ;;
		-*) [[ $ended ]] || ! _envdiscoverd_takes "$command" "$word" || ((++i)) ;;
		*)
			if [[ ! $command && $place == 0 && '  ' == *" $word "* ]]; then
				command=$word
				continue
			fi
			case $command in none) begins=$i ;; esac
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
			_envdiscoverd_offer "$word"
		else
			kind=@files
			_envdiscoverd_offer "$word"
		fi
		return
	fi
	if ((i >= ${#words[@]})); then # the last option waits for its argument
		_envdiscoverd_offer "$word"
	elif [[ $word == --*=* && ! $ended ]]; then
		_envdiscoverd_takes "$command" "${word%%=*}" && _envdiscoverd_offer "${word#*=}"
	elif [[ $word == -* && ! $ended ]]; then
		_envdiscoverd_options "$command"
		kind=$options
		_envdiscoverd_offer "$word"
	else
		_envdiscoverd_word "$command" "$place"
		_envdiscoverd_offer "$word"
	fi
}

complete -F _envdiscoverd envdiscoverd
