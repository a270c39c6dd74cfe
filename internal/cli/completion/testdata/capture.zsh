# Prints what zsh would offer for a command line: zsh capture.zsh DIRECTORY LINE, where DIRECTORY has _PROGRAM, and
# keeps what the first zsh found out.
# An interactive zsh at a terminal of its own gets the line and a tab, and its compadd prints instead.
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PROMPT= fpath=($1 \$fpath)"
zpty -w shell '
autoload -U compinit && compinit -u -C -d $fpath[1]/.dump
bindkey "^I" complete-word
compadd() {
	if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then
		builtin compadd "$@"
		return
	fi
	local -a offered
	builtin compadd -O offered "$@"
	print -rl -- "<"${^offered}">"
	builtin compadd "$@"
}
begin() { print -r - "<begin>" }
finish() { print -r - "<finish>"; exit }
compprefuncs=(begin)
comppostfuncs=(finish)
'
zpty -w -n shell "$2"$'\t'
shown=
while zpty -r shell line; do
	line=${line%$'\r\n'}
	case $line in
	*"<begin>") shown=yes ;;
	*"<finish>") break ;;
	*"<"*">"*) [[ -z $shown ]] || print -r - "${${line##*<}%>*}" ;;
	esac
done
zpty -d shell
