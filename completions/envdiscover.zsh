#compdef envdiscover
# Completes envdiscover in zsh. Written by make generate.

_envdiscover-get() {
	_arguments -S \
		'--wait=[wait up to D for an answer, and for the registry]:D: ' \
		'--default=[print V when nothing is found]:V: ' \
		'--default-on-error=[print V when the registry cannot be asked]:V: ' \
		'--follow[stay\: print each new one and say READY=1 behind it]' \
		'--raw[print the bytes alone, no newline behind them]' \
		'--url=[ask the registry at URL]:URL: ' \
		'--log-level=[log from this level on\: debug, info, warn or error]:LEVEL:(debug info warn error)' \
		'--log-format=[log, errors and hints as text or json]:FORMAT:(text json)' \
		'(-h --help)'{-h,--help}'[show this help]' \
		'--version[show version, commit and Go version]' \
		'1:WORD:_envdiscover_values' \
		'*:WORD:_files'
}

_envdiscover-put() {
	_arguments -S \
		'--ttl=[let it last for D; without, for ever]:D: ' \
		'--if-absent[write only if there is no such value, else exit 1]' \
		'--if-unchanged=[write only if it still is what FILE has, to the byte, else exit 1]:FILE:_files' \
		'--wait=[wait up to D for a registry that is away]:D: ' \
		'--url=[ask the registry at URL]:URL: ' \
		'--log-level=[log from this level on\: debug, info, warn or error]:LEVEL:(debug info warn error)' \
		'--log-format=[log, errors and hints as text or json]:FORMAT:(text json)' \
		'(-h --help)'{-h,--help}'[show this help]' \
		'--version[show version, commit and Go version]' \
		'1:WORD:_envdiscover_values' \
		'*:WORD:_files'
}

_envdiscover-rm() {
	_arguments -S \
		'--wait=[wait up to D for a registry that is away]:D: ' \
		'--url=[ask the registry at URL]:URL: ' \
		'--log-level=[log from this level on\: debug, info, warn or error]:LEVEL:(debug info warn error)' \
		'--log-format=[log, errors and hints as text or json]:FORMAT:(text json)' \
		'(-h --help)'{-h,--help}'[show this help]' \
		'--version[show version, commit and Go version]' \
		'1:WORD:_envdiscover_values' \
		'*:WORD:_files'
}

_envdiscover-ls() {
	_arguments -S \
		'--json[print JSON]' \
		'--wait=[wait up to D for a registry that is away]:D: ' \
		'--url=[ask the registry at URL]:URL: ' \
		'--log-level=[log from this level on\: debug, info, warn or error]:LEVEL:(debug info warn error)' \
		'--log-format=[log, errors and hints as text or json]:FORMAT:(text json)' \
		'(-h --help)'{-h,--help}'[show this help]' \
		'--version[show version, commit and Go version]'
}

_envdiscover-env() {
	_arguments -S \
		'--format=[print as dotenv, json or sh]:FORMAT:(dotenv json sh)' \
		'--names=[treat names that are no variables so\: strict, skip or upper]:POLICY:(strict skip upper)' \
		'--wait=[wait up to D for an answer, and for the registry]:D: ' \
		'--default=[print V when nothing is found]:V: ' \
		'--default-on-error=[print V when the registry cannot be asked]:V: ' \
		'--follow[stay\: print each new one and say READY=1 behind it]' \
		'--url=[ask the registry at URL]:URL: ' \
		'--log-level=[log from this level on\: debug, info, warn or error]:LEVEL:(debug info warn error)' \
		'--log-format=[log, errors and hints as text or json]:FORMAT:(text json)' \
		'(-h --help)'{-h,--help}'[show this help]' \
		'--version[show version, commit and Go version]'
}

_envdiscover-register() {
	_arguments -S \
		'*--port=[serve at NUMBER, or NUMBER/udp, under NAME; repeatable]:NAME=NUMBER: ' \
		'*--private-port=[serve at it on the private host; repeatable]:NAME=NUMBER: ' \
		'--id=[call the instance ID]:ID: ' \
		'--ttl=[let it be gone D after a death]:D: ' \
		'*--tag=[let others choose it by NAME; repeatable]:NAME: ' \
		'*--metadata=[tell a fact; repeatable]:KEY=VALUE: ' \
		'--shard=[say that it has the shard NAME of the data]:NAME: ' \
		'--user=[let users of the service log in as NAME]:NAME: ' \
		'--password-file=[let them use the password in FILE]:FILE:_files' \
		'--sync-credentials[share both with the service'\''s other instances]' \
		'--critical[mark it as critical]' \
		'--public[mark it as public]' \
		'--host=[let others reach it at HOST, a name or IP]:HOST: ' \
		'--private-host=[let others reach it at HOST privately]:HOST: ' \
		'*--interface=[take the first address of eth0, eth0\:inet6, eth0\[1\], a CIDR, static\:IP]:RULE,…: ' \
		'--check=[see how it is by http\://…, tcp\://HOST\:PORT or exec\:PATH]:TARGET: ' \
		'--interval=[check every D]:D: ' \
		'--timeout=[end a check after D]:D: ' \
		'--rise=[let N good ones in a row make it passing]:N: ' \
		'--fall=[let N bad ones in a row make it failing]:N: ' \
		'--wait=[wait up to D for a registry that is away]:D: ' \
		'--eventually[say READY=1 at once, register when it can be done]' \
		'--background[return once it is registered, go on in the background]' \
		'--pid=[deregister when process N ends, not the parent]:N: ' \
		'--url=[ask the registry at URL]:URL: ' \
		'--log-level=[log from this level on\: debug, info, warn or error]:LEVEL:(debug info warn error)' \
		'--log-format=[log, errors and hints as text or json]:FORMAT:(text json)' \
		'(-h --help)'{-h,--help}'[show this help]' \
		'--version[show version, commit and Go version]' \
		'1:WORD:_envdiscover_services' \
		'*:WORD:_files'
}

_envdiscover-instances() {
	_arguments -S \
		'--shard=[take only instances of shard NAME]:NAME: ' \
		'*--tag=[take only instances with tag NAME; repeatable]:NAME: ' \
		'--all[take those that do not pass, too]' \
		'--json[print JSON]' \
		'--wait=[wait up to D for a registry that is away]:D: ' \
		'--url=[ask the registry at URL]:URL: ' \
		'--log-level=[log from this level on\: debug, info, warn or error]:LEVEL:(debug info warn error)' \
		'--log-format=[log, errors and hints as text or json]:FORMAT:(text json)' \
		'(-h --help)'{-h,--help}'[show this help]' \
		'--version[show version, commit and Go version]' \
		'1:WORD:_envdiscover_services' \
		'*:WORD:_files'
}

_envdiscover-services() {
	_arguments -S \
		'--json[print JSON]' \
		'--wait=[wait up to D for a registry that is away]:D: ' \
		'--url=[ask the registry at URL]:URL: ' \
		'--log-level=[log from this level on\: debug, info, warn or error]:LEVEL:(debug info warn error)' \
		'--log-format=[log, errors and hints as text or json]:FORMAT:(text json)' \
		'(-h --help)'{-h,--help}'[show this help]' \
		'--version[show version, commit and Go version]'
}

_envdiscover-url() {
	_arguments -S \
		'--scheme=[make it a URL of SCHEME, with the port of that name]:SCHEME: ' \
		'--path=[append PATH, with a query if you like]:PATH:_files' \
		'--private[use the private host and port]' \
		'--shard=[take only instances of shard NAME]:NAME: ' \
		'*--tag=[take only instances with tag NAME; repeatable]:NAME: ' \
		'--wait=[wait up to D for an answer, and for the registry]:D: ' \
		'--default=[print V when nothing is found]:V: ' \
		'--default-on-error=[print V when the registry cannot be asked]:V: ' \
		'--follow[stay\: print each new one and say READY=1 behind it]' \
		'--url=[ask the registry at URL]:URL: ' \
		'--log-level=[log from this level on\: debug, info, warn or error]:LEVEL:(debug info warn error)' \
		'--log-format=[log, errors and hints as text or json]:FORMAT:(text json)' \
		'(-h --help)'{-h,--help}'[show this help]' \
		'--version[show version, commit and Go version]' \
		'1:WORD:_envdiscover_services' \
		'*:WORD:_files'
}

_envdiscover-watch() {
	_arguments -S \
		'--shard=[take only instances of shard NAME]:NAME: ' \
		'*--tag=[take only instances with tag NAME; repeatable]:NAME: ' \
		'--all[take those that do not pass, too]' \
		'--wait=[wait up to D for a registry that is away]:D: ' \
		'--url=[ask the registry at URL]:URL: ' \
		'--log-level=[log from this level on\: debug, info, warn or error]:LEVEL:(debug info warn error)' \
		'--log-format=[log, errors and hints as text or json]:FORMAT:(text json)' \
		'(-h --help)'{-h,--help}'[show this help]' \
		'--version[show version, commit and Go version]' \
		'1:WORD:_envdiscover_services' \
		'*:::PROGRAM:_normal'
}

_envdiscover-wait() {
	_arguments -S \
		'--count=[wait for N instances]:N: ' \
		'--timeout=[wait for D at most]:D: ' \
		'--shard=[take only instances of shard NAME]:NAME: ' \
		'*--tag=[take only instances with tag NAME; repeatable]:NAME: ' \
		'--url=[ask the registry at URL]:URL: ' \
		'--log-level=[log from this level on\: debug, info, warn or error]:LEVEL:(debug info warn error)' \
		'--log-format=[log, errors and hints as text or json]:FORMAT:(text json)' \
		'(-h --help)'{-h,--help}'[show this help]' \
		'--version[show version, commit and Go version]' \
		'1:WORD:_envdiscover_services' \
		'*:WORD:_files'
}

_envdiscover-direct() {
	_arguments -S \
		'--value=[publish what PROGRAM prints as the value NAME]:NAME: ' \
		'--ttl=[let another take over D after a death]:D: ' \
		'--timeout=[end a run of PROGRAM after D; 0 never does]:D: ' \
		'--shard=[take only instances of shard NAME]:NAME: ' \
		'*--tag=[take only instances with tag NAME; repeatable]:NAME: ' \
		'--all[take those that do not pass, too]' \
		'--wait=[wait up to D for a registry that is away]:D: ' \
		'--url=[ask the registry at URL]:URL: ' \
		'--log-level=[log from this level on\: debug, info, warn or error]:LEVEL:(debug info warn error)' \
		'--log-format=[log, errors and hints as text or json]:FORMAT:(text json)' \
		'(-h --help)'{-h,--help}'[show this help]' \
		'--version[show version, commit and Go version]' \
		'1:WORD:_envdiscover_services' \
		'*:::PROGRAM:_normal'
}

_envdiscover-lock() {
	_arguments -S \
		'--wait=[wait up to D for the lock; 0 tries once]:D: ' \
		'--ttl=[let another have it D after a death]:D: ' \
		'--url=[ask the registry at URL]:URL: ' \
		'--log-level=[log from this level on\: debug, info, warn or error]:LEVEL:(debug info warn error)' \
		'--log-format=[log, errors and hints as text or json]:FORMAT:(text json)' \
		'(-h --help)'{-h,--help}'[show this help]' \
		'--version[show version, commit and Go version]' \
		'1:WORD: ' \
		'*:::PROGRAM:_normal'
}

_envdiscover-check() {
	_arguments -S \
		'--timeout=[wait for D at most]:D: ' \
		'--json[print JSON, of a registry]' \
		'--url=[ask the registry at URL]:URL: ' \
		'--log-level=[log from this level on\: debug, info, warn or error]:LEVEL:(debug info warn error)' \
		'--log-format=[log, errors and hints as text or json]:FORMAT:(text json)' \
		'(-h --help)'{-h,--help}'[show this help]' \
		'--version[show version, commit and Go version]' \
		'1:WORD:(http tcp exec registry)' \
		'*:::PROGRAM:_normal'
}

_envdiscover-engines() {
	_arguments -S \
		'--json[print JSON]' \
		'--log-level=[log from this level on\: debug, info, warn or error]:LEVEL:(debug info warn error)' \
		'--log-format=[log, errors and hints as text or json]:FORMAT:(text json)' \
		'(-h --help)'{-h,--help}'[show this help]' \
		'--version[show version, commit and Go version]'
}

_envdiscover-completion() {
	_arguments -S \
		'--log-level=[log from this level on\: debug, info, warn or error]:LEVEL:(debug info warn error)' \
		'--log-format=[log, errors and hints as text or json]:FORMAT:(text json)' \
		'(-h --help)'{-h,--help}'[show this help]' \
		'--version[show version, commit and Go version]' \
		'1:WORD:(bash zsh fish)' \
		'*:WORD:_files'
}

_envdiscover_services() { compadd "$@" -- ${(f)"$(envdiscover services 2>/dev/null)"} }
_envdiscover_values() { compadd "$@" -- ${(f)"$(envdiscover ls 2>/dev/null)"} }

_envdiscover_first() {
	local -a subcommands=(
		'get:print a value'
		'put:'
		'rm:remove a value'
		'ls:list the names of the values (that match GLOB, as DB_*)'
		'env:print all values (that match a GLOB, as DB_*), in one read'
		'register:announce a service, hold, withdraw at TERM or the parent'\''s end'
		'instances:list the instances of a service that pass'
		'services:list the names of the services that have an instance'
		'url:print the address of one instance that passes'
		'watch:print each snapshot as JSON, or run PROGRAM with it on stdin'
		'wait:wait until so many instances of a service pass'
		'direct:make a value of each snapshot by PROGRAM, one in the cluster'
		'lock:run PROGRAM while this process alone holds NAME, in the cluster'
		'check:look once whether a URL, HOST\:PORT, program or registry is well'
		'engines:show the URLs of registries, and what each engine promises'
		'completion:complete commands in bash, zsh or fish'
	)
	_describe -t commands command subcommands
}

_envdiscover() {
	if (( CURRENT > 2 && $+functions[_envdiscover-$words[2]] )); then
		shift words
		(( CURRENT-- ))
		_envdiscover-$words[1]
		return
	fi
	_arguments -S \
		'(-h --help)'{-h,--help}'[show this help]' \
		'--version[show version, commit and Go version]' \
		'1:COMMAND:_envdiscover_first'
}

_envdiscover "$@"
