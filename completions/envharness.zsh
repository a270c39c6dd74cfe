#compdef envharness
# Completes envharness in zsh. Written by make generate.

_envharness-print() {
	_arguments -S \
		'--format=[print as sh, dotenv, json, nul or docker, or as a table for people]:FORMAT:(sh dotenv json nul docker table)' \
		'--output=[write to FILE, mode 0600, all or nothing]:FILE:_files' \
		'--all[print what is inherited, too]' \
		'--mask[hide the values]' \
		'*--environment=[make DIR'\''s entries the variables; repeatable, a later DIR'\''s entry replaces an earlier one'\''s]:DIR:_files -/' \
		'*--export=[announce the service by DIR'\''s executables; repeatable, run in the order given]:DIR:_files -/' \
		'*--secrets=[make DIR'\''s files variables and run none\: a mount of secrets; repeatable]:DIR:_files -/' \
		'--names=[treat a name that is no variable'\''s as an error (strict), skip it, or make one\: upper (tls.crt is TLS_CRT)]:POLICY:(strict skip upper)' \
		'--executable=[tell an executable by its mode, or by its content (#! or ELF)\: for mounts with one mode for all]:POLICY:(mode content)' \
		'--expand-files[let NAME be the content of the file that NAME_FILE names, unless NAME is set]' \
		'--jobs=[run N executables of /environment at a time; the result stays the same]:N: ' \
		'--export-last[run /export after /environment, with the resolved variables]' \
		'--timeout=[end one try of one executable after D; 0 never does]:D: ' \
		'--deadline=[end start-up after D]:D: ' \
		'--retries=[try a failed /environment executable N times more]:N: ' \
		'--retry-delay=[wait D before the first of them, then twice as long each time]:D: ' \
		'--fail-fast[stop at the first failure, instead of gathering all of them]' \
		'--cache=[keep the last good values in DIR; one whose executable fails is taken from there, with a warning]:DIR:_files -/' \
		'--cache-max-age=[do not take a value that is older than D]:D: ' \
		'*--env-file=[read FILE first, in dotenv form; repeatable, a later FILE wins]:FILE:_files' \
		'*--require=[fail when one of them is unset or empty; repeatable]:NAME,…: ' \
		'--empty=[keep an empty value, unset its name, or fail]:POLICY:(keep unset fail)' \
		'--prefer-inherited[let a variable that is already set win, and do not run its executable]' \
		'--pristine[give COMMAND only what was resolved, the env-files, PATH, HOME, TERM, LANG and TZ]' \
		'*--pass=[let these inherited names through --pristine; repeatable]:GLOB,…: ' \
		'--timeline[show start-up as bars on stderr]' \
		'--timeline-svg=[draw start-up as a picture in FILE]:FILE:_files' \
		'--log-level=[log from this level on\: debug, info, warn or error]:LEVEL:(debug info warn error)' \
		'--log-format=[log, errors and hints as text or json]:FORMAT:(text json)' \
		'(-h --help)'{-h,--help}'[show this help]' \
		'--version[show version, commit and Go version]'
}

_envharness-exec() {
	if (( CURRENT > 2 )) && [[ $words[2] == -- ]]; then
		words[2]=()
		(( CURRENT-- ))
	fi
	_arguments -S \
		'*--environment=[make DIR'\''s entries the variables; repeatable, a later DIR'\''s entry replaces an earlier one'\''s]:DIR:_files -/' \
		'*--export=[announce the service by DIR'\''s executables; repeatable, run in the order given]:DIR:_files -/' \
		'*--secrets=[make DIR'\''s files variables and run none\: a mount of secrets; repeatable]:DIR:_files -/' \
		'--names=[treat a name that is no variable'\''s as an error (strict), skip it, or make one\: upper (tls.crt is TLS_CRT)]:POLICY:(strict skip upper)' \
		'--executable=[tell an executable by its mode, or by its content (#! or ELF)\: for mounts with one mode for all]:POLICY:(mode content)' \
		'--expand-files[let NAME be the content of the file that NAME_FILE names, unless NAME is set]' \
		'--jobs=[run N executables of /environment at a time; the result stays the same]:N: ' \
		'--export-last[run /export after /environment, with the resolved variables]' \
		'--timeout=[end one try of one executable after D; 0 never does]:D: ' \
		'--deadline=[end start-up after D]:D: ' \
		'--retries=[try a failed /environment executable N times more]:N: ' \
		'--retry-delay=[wait D before the first of them, then twice as long each time]:D: ' \
		'--fail-fast[stop at the first failure, instead of gathering all of them]' \
		'--cache=[keep the last good values in DIR; one whose executable fails is taken from there, with a warning]:DIR:_files -/' \
		'--cache-max-age=[do not take a value that is older than D]:D: ' \
		'*--env-file=[read FILE first, in dotenv form; repeatable, a later FILE wins]:FILE:_files' \
		'*--require=[fail when one of them is unset or empty; repeatable]:NAME,…: ' \
		'--empty=[keep an empty value, unset its name, or fail]:POLICY:(keep unset fail)' \
		'--prefer-inherited[let a variable that is already set win, and do not run its executable]' \
		'--pristine[give COMMAND only what was resolved, the env-files, PATH, HOME, TERM, LANG and TZ]' \
		'*--pass=[let these inherited names through --pristine; repeatable]:GLOB,…: ' \
		'*--as-file=[put these variables'\'' values into files, and let NAME_FILE name NAME'\''s; repeatable]:GLOB,…: ' \
		'--files=[put those files into DIR]:DIR:_files -/' \
		'*--prepare=[run PATH before COMMAND, with its variables, and fail if it fails; repeatable]:PATH:_files' \
		'--user=[run COMMAND as USER, by name or number]:USER[\:GROUP]:_users' \
		'--chdir=[run COMMAND in DIR]:DIR:_files -/' \
		'--timeline[show start-up as bars on stderr]' \
		'--timeline-svg=[draw start-up as a picture in FILE]:FILE:_files' \
		'--log-level=[log from this level on\: debug, info, warn or error]:LEVEL:(debug info warn error)' \
		'--log-format=[log, errors and hints as text or json]:FORMAT:(text json)' \
		'(-h --help)'{-h,--help}'[show this help]' \
		'--version[show version, commit and Go version]' \
		'(-)1:COMMAND:_command_names -e' \
		'*::ARG:_normal'
}

_envharness-check() {
	_arguments -S \
		'--json[print JSON]' \
		'*--environment=[make DIR'\''s entries the variables; repeatable, a later DIR'\''s entry replaces an earlier one'\''s]:DIR:_files -/' \
		'*--export=[announce the service by DIR'\''s executables; repeatable, run in the order given]:DIR:_files -/' \
		'*--secrets=[make DIR'\''s files variables and run none\: a mount of secrets; repeatable]:DIR:_files -/' \
		'--names=[treat a name that is no variable'\''s as an error (strict), skip it, or make one\: upper (tls.crt is TLS_CRT)]:POLICY:(strict skip upper)' \
		'--executable=[tell an executable by its mode, or by its content (#! or ELF)\: for mounts with one mode for all]:POLICY:(mode content)' \
		'--expand-files[let NAME be the content of the file that NAME_FILE names, unless NAME is set]' \
		'--log-level=[log from this level on\: debug, info, warn or error]:LEVEL:(debug info warn error)' \
		'--log-format=[log, errors and hints as text or json]:FORMAT:(text json)' \
		'(-h --help)'{-h,--help}'[show this help]' \
		'--version[show version, commit and Go version]' \
		'*:WORD:_files -/'
}

_envharness-diff() {
	_arguments -S \
		'--json[print JSON]' \
		'--names=[treat a name that is no variable'\''s as an error (strict), skip it, or make one\: upper (tls.crt is TLS_CRT)]:POLICY:(strict skip upper)' \
		'--executable=[tell an executable by its mode, or by its content (#! or ELF)\: for mounts with one mode for all]:POLICY:(mode content)' \
		'--expand-files[let NAME be the content of the file that NAME_FILE names, unless NAME is set]' \
		'--log-level=[log from this level on\: debug, info, warn or error]:LEVEL:(debug info warn error)' \
		'--log-format=[log, errors and hints as text or json]:FORMAT:(text json)' \
		'(-h --help)'{-h,--help}'[show this help]' \
		'--version[show version, commit and Go version]' \
		'*:WORD:_files -/'
}

_envharness-install() {
	_arguments -S \
		'--log-level=[log from this level on\: debug, info, warn or error]:LEVEL:(debug info warn error)' \
		'--log-format=[log, errors and hints as text or json]:FORMAT:(text json)' \
		'(-h --help)'{-h,--help}'[show this help]' \
		'--version[show version, commit and Go version]' \
		'*:WORD:_files'
}

_envharness-notify() {
	_arguments -S \
		'--log-level=[log from this level on\: debug, info, warn or error]:LEVEL:(debug info warn error)' \
		'--log-format=[log, errors and hints as text or json]:FORMAT:(text json)' \
		'(-h --help)'{-h,--help}'[show this help]' \
		'--version[show version, commit and Go version]' \
		'*:WORD:(READY=1 VALID_USEC= STATUS= RELOADING=1 STOPPING=1 MAINPID= WATCHDOG=1)'
}

_envharness-status() {
	_arguments -S \
		'--socket=[reach the harness at PATH]:PATH:_files' \
		'--format=[print as json, or as prometheus for the node exporter'\''s textfile collector]:FORMAT:(json prometheus)' \
		'--log-level=[log from this level on\: debug, info, warn or error]:LEVEL:(debug info warn error)' \
		'--log-format=[log, errors and hints as text or json]:FORMAT:(text json)' \
		'(-h --help)'{-h,--help}'[show this help]' \
		'--version[show version, commit and Go version]'
}

_envharness-ready() {
	_arguments -S \
		'--socket=[reach the harness at PATH]:PATH:_files' \
		'--log-level=[log from this level on\: debug, info, warn or error]:LEVEL:(debug info warn error)' \
		'--log-format=[log, errors and hints as text or json]:FORMAT:(text json)' \
		'(-h --help)'{-h,--help}'[show this help]' \
		'--version[show version, commit and Go version]'
}

_envharness-drain() {
	_arguments -S \
		'--socket=[reach the harness at PATH]:PATH:_files' \
		'--log-level=[log from this level on\: debug, info, warn or error]:LEVEL:(debug info warn error)' \
		'--log-format=[log, errors and hints as text or json]:FORMAT:(text json)' \
		'(-h --help)'{-h,--help}'[show this help]' \
		'--version[show version, commit and Go version]'
}

_envharness-resume() {
	_arguments -S \
		'--socket=[reach the harness at PATH]:PATH:_files' \
		'--log-level=[log from this level on\: debug, info, warn or error]:LEVEL:(debug info warn error)' \
		'--log-format=[log, errors and hints as text or json]:FORMAT:(text json)' \
		'(-h --help)'{-h,--help}'[show this help]' \
		'--version[show version, commit and Go version]'
}

_envharness_first() {
	local -a subcommands=(
		'print:resolve and print'
		'exec:become COMMAND, without /export'
		'check:Tells all that is wrong with the entries of /environment and /export, or of each DIR, and exits 1 when there is something'
		'diff:Tells which names only one DIR has, and exits 1 when there are some'
		'install:copy itself to DEST'
		'notify:say READY=1 and the like on NOTIFY_SOCKET'
		'status:Tells what the harness knows of itself and of COMMAND, as JSON'
		'ready:Exits 0 when COMMAND is ready and well, 1 when it is not\: a Kubernetes exec probe'
		'drain:Withdraws the service and leaves COMMAND running'
		'resume:Announces the service again after a drain'
	)
	_describe -t commands command subcommands
	_command_names -e
}

_envharness() {
	if (( CURRENT > 2 && $+functions[_envharness-$words[2]] )); then
		shift words
		(( CURRENT-- ))
		_envharness-$words[1]
		return
	fi
	if (( CURRENT > 2 )) && [[ $words[2] == -- ]]; then
		words[2]=()
		(( CURRENT-- ))
	fi
	_arguments -S \
		'*--environment=[make DIR'\''s entries the variables; repeatable, a later DIR'\''s entry replaces an earlier one'\''s]:DIR:_files -/' \
		'*--export=[announce the service by DIR'\''s executables; repeatable, run in the order given]:DIR:_files -/' \
		'*--secrets=[make DIR'\''s files variables and run none\: a mount of secrets; repeatable]:DIR:_files -/' \
		'--names=[treat a name that is no variable'\''s as an error (strict), skip it, or make one\: upper (tls.crt is TLS_CRT)]:POLICY:(strict skip upper)' \
		'--executable=[tell an executable by its mode, or by its content (#! or ELF)\: for mounts with one mode for all]:POLICY:(mode content)' \
		'--expand-files[let NAME be the content of the file that NAME_FILE names, unless NAME is set]' \
		'--jobs=[run N executables of /environment at a time; the result stays the same]:N: ' \
		'--export-last[run /export after /environment, with the resolved variables]' \
		'--timeout=[end one try of one executable after D; 0 never does]:D: ' \
		'--deadline=[end start-up after D]:D: ' \
		'--retries=[try a failed /environment executable N times more]:N: ' \
		'--retry-delay=[wait D before the first of them, then twice as long each time]:D: ' \
		'--fail-fast[stop at the first failure, instead of gathering all of them]' \
		'--cache=[keep the last good values in DIR; one whose executable fails is taken from there, with a warning]:DIR:_files -/' \
		'--cache-max-age=[do not take a value that is older than D]:D: ' \
		'*--env-file=[read FILE first, in dotenv form; repeatable, a later FILE wins]:FILE:_files' \
		'*--require=[fail when one of them is unset or empty; repeatable]:NAME,…: ' \
		'--empty=[keep an empty value, unset its name, or fail]:POLICY:(keep unset fail)' \
		'--prefer-inherited[let a variable that is already set win, and do not run its executable]' \
		'--pristine[give COMMAND only what was resolved, the env-files, PATH, HOME, TERM, LANG and TZ]' \
		'*--pass=[let these inherited names through --pristine; repeatable]:GLOB,…: ' \
		'*--as-file=[put these variables'\'' values into files, and let NAME_FILE name NAME'\''s; repeatable]:GLOB,…: ' \
		'--files=[put those files into DIR]:DIR:_files -/' \
		'*--prepare=[run PATH before COMMAND, with its variables, and fail if it fails; repeatable]:PATH:_files' \
		'--user=[run COMMAND as USER, by name or number]:USER[\:GROUP]:_users' \
		'--chdir=[run COMMAND in DIR]:DIR:_files -/' \
		'--init[stay as COMMAND'\''s parent\: reap orphans, forward signals, withdraw before a stop]' \
		'--grace=[kill what is left D after a stop began]:D: ' \
		'*--stop-signal=[let these begin a stop too, beside TERM and INT; repeatable]:SIG,…:(TERM INT HUP QUIT USR1 USR2 WINCH KILL)' \
		'*--signal-map=[forward another signal, or with =0 none; repeatable]:SIG=SIG,…: ' \
		'--group[forward signals to COMMAND'\''s process group]' \
		'*--expect-exit=[exit with another code than COMMAND'\''s; repeatable]:CODE=CODE,…: ' \
		'--parent-death-signal=[get this signal when the harness'\''s parent dies]:SIG:(TERM INT HUP QUIT USR1 USR2 WINCH KILL)' \
		'--socket=[listen at PATH for status, ready, drain and resume]:PATH:_files' \
		'--refresh=[resolve again every D, ±10 %]:D: ' \
		'--on-change=[do this when a value changed\: restart, signal=SIG, exec=PATH (which runs with the new values), exit or none]:POLICY:(restart signal= exec= exit none)' \
		'--change-delay=[wait a random time up to D before it, so that a fleet does not follow at once]:D: ' \
		'--write=[keep a dotenv file with the values current]:FILE:_files' \
		'--ready=[take COMMAND for ready when it says so, or when PATH exits 0]:notify|PATH:_files' \
		'--health=[take COMMAND for well while PATH exits 0]:PATH:_files' \
		'--health-interval=[run that every D]:D: ' \
		'--health-failures=[take COMMAND for unhealthy when it fails N times in a row]:N: ' \
		'--export-when-ready[run /export once COMMAND is ready, with the resolved variables]' \
		'--timeline[show start-up as bars on stderr]' \
		'--timeline-svg=[draw start-up as a picture in FILE]:FILE:_files' \
		'--log-level=[log from this level on\: debug, info, warn or error]:LEVEL:(debug info warn error)' \
		'--log-format=[log, errors and hints as text or json]:FORMAT:(text json)' \
		'(-h --help)'{-h,--help}'[show this help]' \
		'--version[show version, commit and Go version]' \
		'(-)1:COMMAND:_envharness_first' \
		'*::ARG:_normal'
}

_envharness "$@"
