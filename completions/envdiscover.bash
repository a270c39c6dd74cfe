# shellcheck shell=bash disable=SC2207
# Completes envdiscover in bash. Written by make generate.

# Sets options to those of a command.
_envdiscover_options() {
	case $1 in
	'') options='--help --version' ;;
	'get') options='--wait --default --default-on-error --follow --raw --url --log-level --log-format --help --version' ;;
	'put') options='--ttl --if-absent --if-unchanged --wait --url --log-level --log-format --help --version' ;;
	'rm') options='--wait --url --log-level --log-format --help --version' ;;
	'ls') options='--json --wait --url --log-level --log-format --help --version' ;;
	'env') options='--format --names --wait --default --default-on-error --follow --url --log-level --log-format --help --version' ;;
	'register') options='--port --private-port --id --ttl --tag --metadata --shard --user --password-file --sync-credentials --critical --public --host --private-host --interface --check --interval --timeout --rise --fall --wait --eventually --background --pid --url --log-level --log-format --help --version' ;;
	'instances') options='--shard --tag --all --json --wait --url --log-level --log-format --help --version' ;;
	'services') options='--json --wait --url --log-level --log-format --help --version' ;;
	'url') options='--scheme --path --private --shard --tag --wait --default --default-on-error --follow --url --log-level --log-format --help --version' ;;
	'watch') options='--shard --tag --all --wait --url --log-level --log-format --help --version' ;;
	'wait') options='--count --timeout --shard --tag --url --log-level --log-format --help --version' ;;
	'direct') options='--value --ttl --timeout --shard --tag --all --wait --url --log-level --log-format --help --version' ;;
	'lock') options='--wait --ttl --url --log-level --log-format --help --version' ;;
	'check') options='--timeout --json --url --log-level --log-format --help --version' ;;
	'engines') options='--json --log-level --log-format --help --version' ;;
	'completion') options='--log-level --log-format --help --version' ;;
	esac
}

# Sets kind to what an option of a command takes; fails for one that takes nothing.
_envdiscover_takes() {
	case "$1 $2" in
	'get --wait') kind='' ;;
	'get --default') kind='' ;;
	'get --default-on-error') kind='' ;;
	'get --url') kind='' ;;
	'get --log-level') kind='debug info warn error' ;;
	'get --log-format') kind='text json' ;;
	'put --ttl') kind='' ;;
	'put --if-unchanged') kind='@files' ;;
	'put --wait') kind='' ;;
	'put --url') kind='' ;;
	'put --log-level') kind='debug info warn error' ;;
	'put --log-format') kind='text json' ;;
	'rm --wait') kind='' ;;
	'rm --url') kind='' ;;
	'rm --log-level') kind='debug info warn error' ;;
	'rm --log-format') kind='text json' ;;
	'ls --wait') kind='' ;;
	'ls --url') kind='' ;;
	'ls --log-level') kind='debug info warn error' ;;
	'ls --log-format') kind='text json' ;;
	'env --format') kind='dotenv json sh' ;;
	'env --names') kind='strict skip upper' ;;
	'env --wait') kind='' ;;
	'env --default') kind='' ;;
	'env --default-on-error') kind='' ;;
	'env --url') kind='' ;;
	'env --log-level') kind='debug info warn error' ;;
	'env --log-format') kind='text json' ;;
	'register --port') kind='' ;;
	'register --private-port') kind='' ;;
	'register --id') kind='' ;;
	'register --ttl') kind='' ;;
	'register --tag') kind='' ;;
	'register --metadata') kind='' ;;
	'register --shard') kind='' ;;
	'register --user') kind='' ;;
	'register --password-file') kind='@files' ;;
	'register --host') kind='' ;;
	'register --private-host') kind='' ;;
	'register --interface') kind='' ;;
	'register --check') kind='' ;;
	'register --interval') kind='' ;;
	'register --timeout') kind='' ;;
	'register --rise') kind='' ;;
	'register --fall') kind='' ;;
	'register --wait') kind='' ;;
	'register --pid') kind='' ;;
	'register --url') kind='' ;;
	'register --log-level') kind='debug info warn error' ;;
	'register --log-format') kind='text json' ;;
	'instances --shard') kind='' ;;
	'instances --tag') kind='' ;;
	'instances --wait') kind='' ;;
	'instances --url') kind='' ;;
	'instances --log-level') kind='debug info warn error' ;;
	'instances --log-format') kind='text json' ;;
	'services --wait') kind='' ;;
	'services --url') kind='' ;;
	'services --log-level') kind='debug info warn error' ;;
	'services --log-format') kind='text json' ;;
	'url --scheme') kind='' ;;
	'url --path') kind='@files' ;;
	'url --shard') kind='' ;;
	'url --tag') kind='' ;;
	'url --wait') kind='' ;;
	'url --default') kind='' ;;
	'url --default-on-error') kind='' ;;
	'url --url') kind='' ;;
	'url --log-level') kind='debug info warn error' ;;
	'url --log-format') kind='text json' ;;
	'watch --shard') kind='' ;;
	'watch --tag') kind='' ;;
	'watch --wait') kind='' ;;
	'watch --url') kind='' ;;
	'watch --log-level') kind='debug info warn error' ;;
	'watch --log-format') kind='text json' ;;
	'wait --count') kind='' ;;
	'wait --timeout') kind='' ;;
	'wait --shard') kind='' ;;
	'wait --tag') kind='' ;;
	'wait --url') kind='' ;;
	'wait --log-level') kind='debug info warn error' ;;
	'wait --log-format') kind='text json' ;;
	'direct --value') kind='' ;;
	'direct --ttl') kind='' ;;
	'direct --timeout') kind='' ;;
	'direct --shard') kind='' ;;
	'direct --tag') kind='' ;;
	'direct --wait') kind='' ;;
	'direct --url') kind='' ;;
	'direct --log-level') kind='debug info warn error' ;;
	'direct --log-format') kind='text json' ;;
	'lock --wait') kind='' ;;
	'lock --ttl') kind='' ;;
	'lock --url') kind='' ;;
	'lock --log-level') kind='debug info warn error' ;;
	'lock --log-format') kind='text json' ;;
	'check --timeout') kind='' ;;
	'check --url') kind='' ;;
	'check --log-level') kind='debug info warn error' ;;
	'check --log-format') kind='text json' ;;
	'engines --log-level') kind='debug info warn error' ;;
	'engines --log-format') kind='text json' ;;
	'completion --log-level') kind='debug info warn error' ;;
	'completion --log-format') kind='text json' ;;
	*) return 1 ;;
	esac
}

# Sets kind to what the word of a command at a place is.
_envdiscover_word() {
	case "$1 $2" in
	' 0') kind='get put rm ls env register instances services url watch wait direct lock check engines completion' ;;
	'get 0') kind='@values' ;;
	'get'\ *) kind='@files' ;;
	'put 0') kind='@values' ;;
	'put'\ *) kind='@files' ;;
	'rm 0') kind='@values' ;;
	'rm'\ *) kind='@files' ;;
	'ls 0') kind='' ;;
	'env 0') kind='' ;;
	'register 0') kind='@services' ;;
	'register'\ *) kind='@files' ;;
	'instances 0') kind='@services' ;;
	'instances'\ *) kind='@files' ;;
	'services 0') kind='' ;;
	'url 0') kind='@services' ;;
	'url'\ *) kind='@files' ;;
	'watch 0') kind='@services' ;;
	'watch'\ *) kind='@files' ;;
	'wait 0') kind='@services' ;;
	'wait'\ *) kind='@files' ;;
	'direct 0') kind='@services' ;;
	'direct'\ *) kind='@files' ;;
	'lock 0') kind='' ;;
	'check 0') kind='http tcp exec registry' ;;
	'check'\ *) kind='@files' ;;
	'engines 0') kind='' ;;
	'completion 0') kind='bash zsh fish' ;;
	'completion'\ *) kind='@files' ;;
	*) kind='' ;;
	esac
}

# Offers words of the kind.
_envdiscover_offer() {
	local word=$1 IFS=$'\n'
	COMPREPLY=()
	for one in ${kind// /$'\n'}; do
		case $one in
		@files) compopt -o filenames 2>/dev/null; COMPREPLY+=($(compgen -f -- "$word")) ;;
		@directories) compopt -o filenames 2>/dev/null; COMPREPLY+=($(compgen -d -- "$word")) ;;
		@users) COMPREPLY+=($(compgen -u -- "$word")) ;;
		@programs) COMPREPLY+=($(compgen -c -- "$word")) ;;
		@services) COMPREPLY+=($(compgen -W "$(envdiscover services 2>/dev/null)" -- "$word")) ;;
		@values) COMPREPLY+=($(compgen -W "$(envdiscover ls 2>/dev/null)" -- "$word")) ;;
		*) COMPREPLY+=($(compgen -W "$one" -- "$word")) ;;
		esac
	done
	[[ ${#COMPREPLY[@]} != 1 || ${COMPREPLY[0]} != *= ]] || compopt -o nospace 2>/dev/null
}

_envdiscover() {
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
			case $command in 'watch' | 'direct' | 'lock' | 'check') begins=$((i + 1)) ;; esac
			;;
		-*=*) ;;
		-*) [[ $ended ]] || ! _envdiscover_takes "$command" "$word" || ((++i)) ;;
		*)
			if [[ ! $command && $place == 0 && ' get put rm ls env register instances services url watch wait direct lock check engines completion ' == *" $word "* ]]; then
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
			_envdiscover_offer "$word"
		else
			kind=@files
			_envdiscover_offer "$word"
		fi
		return
	fi
	if ((i >= ${#words[@]})); then # the last option waits for its argument
		_envdiscover_offer "$word"
	elif [[ $word == --*=* && ! $ended ]]; then
		_envdiscover_takes "$command" "${word%%=*}" && _envdiscover_offer "${word#*=}"
	elif [[ $word == -* && ! $ended ]]; then
		_envdiscover_options "$command"
		kind=$options
		_envdiscover_offer "$word"
	else
		_envdiscover_word "$command" "$place"
		_envdiscover_offer "$word"
	fi
}

complete -F _envdiscover envdiscover
