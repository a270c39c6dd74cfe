package completion

import (
	"fmt"
	"strings"
)

// bash is a function that reads the words up to the cursor once: which command it is, whether the last option
// waits for its argument, and where a command line of its own begins.
func (l line) bash() string {
	name, place := strings.ReplaceAll(l.name, "-", "_"), "$i == 1"
	if l.commandLast {
		place = "$place == 0"
	}
	return fmt.Sprintf(bashScript, name, l.name, l.names(), l.bashOptions(), l.bashKinds(), l.bashWords(), l.handing(), l.dashing(), place)
}

// quoted is a word in single quotes, as sh, zsh and fish read it.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// bashOptions is the options by command.
func (l line) bashOptions() string {
	var text strings.Builder
	for _, c := range l.all() {
		var names []string
		for _, o := range c.options {
			names = append(names, "--"+o.name)
		}
		fmt.Fprintf(&text, "\t%s) options=%s ;;\n", quoted(c.name), quoted(strings.Join(names, " ")))
	}
	return text.String()
}

// bashKinds is what the options take, by command and option. One that takes nothing is not there.
func (l line) bashKinds() string {
	var text strings.Builder
	for _, c := range l.all() {
		for _, o := range c.options {
			if o.argument != "" {
				fmt.Fprintf(&text, "\t%s) kind=%s ;;\n", quoted(c.name+" --"+o.name), quoted(string(o.takes)))
			}
		}
	}
	return text.String()
}

// bashWords is what the other words are, by command and place.
func (l line) bashWords() string {
	var text strings.Builder
	for _, c := range l.all() {
		first := c.first
		if c.name == "" && len(l.commands) > 0 {
			first = kind(strings.TrimSpace(l.names() + " " + string(c.first)))
		}
		fmt.Fprintf(&text, "\t%s) kind=%s ;;\n", quoted(c.name+" 0"), quoted(string(first)))
		if c.rest != anything {
			fmt.Fprintf(&text, "\t%s) kind=%s ;;\n", quoted(c.name)+"\\ *", quoted(string(c.rest)))
		}
	}
	return text.String()
}

// handing are the commands whose first word begins a command line of its own, dashing those where -- does so, each
// as a pattern of case.
func (l line) handing() string { return l.pattern(func(c command) bool { return c.hands }) }
func (l line) dashing() string { return l.pattern(func(c command) bool { return c.hands || c.dashes }) }

func (l line) pattern(is func(command) bool) string {
	var names []string
	for _, c := range l.all() {
		if is(c) {
			names = append(names, quoted(c.name))
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, " | ")
}

const bashScript = `# shellcheck shell=bash disable=SC2207
# Completes %[2]s in bash. Written by make generate.

# Sets options to those of a command.
_%[1]s_options() {
	case $1 in
%[4]s	esac
}

# Sets kind to what an option of a command takes; fails for one that takes nothing.
_%[1]s_takes() {
	case "$1 $2" in
%[5]s	*) return 1 ;;
	esac
}

# Sets kind to what the word of a command at a place is.
_%[1]s_word() {
	case "$1 $2" in
%[6]s	*) kind='' ;;
	esac
}

# Offers words of the kind.
_%[1]s_offer() {
	local word=$1 IFS=$'\n'
	COMPREPLY=()
	for one in ${kind// /$'\n'}; do
		case $one in
		@files) compopt -o filenames 2>/dev/null; COMPREPLY+=($(compgen -f -- "$word")) ;;
		@directories) compopt -o filenames 2>/dev/null; COMPREPLY+=($(compgen -d -- "$word")) ;;
		@users) COMPREPLY+=($(compgen -u -- "$word")) ;;
		@programs) COMPREPLY+=($(compgen -c -- "$word")) ;;
		@services) COMPREPLY+=($(compgen -W "$(%[2]s services 2>/dev/null)" -- "$word")) ;;
		@values) COMPREPLY+=($(compgen -W "$(%[2]s ls 2>/dev/null)" -- "$word")) ;;
		*) COMPREPLY+=($(compgen -W "$one" -- "$word")) ;;
		esac
	done
	[[ ${#COMPREPLY[@]} != 1 || ${COMPREPLY[0]} != *= ]] || compopt -o nospace 2>/dev/null
}

_%[1]s() {
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
			case $command in %[8]s) begins=$((i + 1)) ;; esac
			;;
		-*=*) ;;
		-*) [[ $ended ]] || ! _%[1]s_takes "$command" "$word" || ((++i)) ;;
		*)
			if [[ ! $command && %[9]s && ' %[3]s ' == *" $word "* ]]; then
				command=$word
				continue
			fi
			case $command in %[7]s) begins=$i ;; esac
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
			_%[1]s_offer "$word"
		else
			kind=@files
			_%[1]s_offer "$word"
		fi
		return
	fi
	if ((i >= ${#words[@]})); then # the last option waits for its argument
		_%[1]s_offer "$word"
	elif [[ $word == --*=* && ! $ended ]]; then
		_%[1]s_takes "$command" "${word%%%%=*}" && _%[1]s_offer "${word#*=}"
	elif [[ $word == -* && ! $ended ]]; then
		_%[1]s_options "$command"
		kind=$options
		_%[1]s_offer "$word"
	else
		_%[1]s_word "$command" "$place"
		_%[1]s_offer "$word"
	fi
}

complete -F _%[1]s %[2]s
`
