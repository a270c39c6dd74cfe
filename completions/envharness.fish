# Completes envharness in fish. Written by make generate.

# Prints the command, the place of the word at the cursor, and then the words of a command line of its own.
function __envharness_state
    set --local words (commandline --tokenize --current-process --cut-at-cursor)
    set --local command -
    set --local place 0
    set --local at 0
    set --local ended
    set --erase words[1]
    while set --query words[1]
        set --local word $words[1]
        set --erase words[1]
        set at (math $at + 1)
        if test "$word" = -- -a -z "$ended"
            set ended yes
            if contains -- $command - exec none
                printf '%s\n' $command hands $words
                return
            end
        else if string match --quiet -- '-*=*' $word; and test -z "$ended"
        else if string match --quiet -- '-*' $word; and test -z "$ended"
            if contains -- "$command $word" '- --environment' '- --export' '- --secrets' '- --names' '- --executable' '- --jobs' '- --timeout' '- --deadline' '- --retries' '- --retry-delay' '- --cache' '- --cache-max-age' '- --env-file' '- --require' '- --empty' '- --pass' '- --as-file' '- --files' '- --prepare' '- --user' '- --chdir' '- --grace' '- --stop-signal' '- --signal-map' '- --expect-exit' '- --parent-death-signal' '- --socket' '- --refresh' '- --on-change' '- --change-delay' '- --write' '- --ready' '- --health' '- --health-interval' '- --health-failures' '- --timeline-svg' '- --log-level' '- --log-format' 'print --format' 'print --output' 'print --environment' 'print --export' 'print --secrets' 'print --names' 'print --executable' 'print --jobs' 'print --timeout' 'print --deadline' 'print --retries' 'print --retry-delay' 'print --cache' 'print --cache-max-age' 'print --env-file' 'print --require' 'print --empty' 'print --pass' 'print --timeline-svg' 'print --log-level' 'print --log-format' 'exec --environment' 'exec --export' 'exec --secrets' 'exec --names' 'exec --executable' 'exec --jobs' 'exec --timeout' 'exec --deadline' 'exec --retries' 'exec --retry-delay' 'exec --cache' 'exec --cache-max-age' 'exec --env-file' 'exec --require' 'exec --empty' 'exec --pass' 'exec --as-file' 'exec --files' 'exec --prepare' 'exec --user' 'exec --chdir' 'exec --timeline-svg' 'exec --log-level' 'exec --log-format' 'check --environment' 'check --export' 'check --secrets' 'check --names' 'check --executable' 'check --log-level' 'check --log-format' 'diff --names' 'diff --executable' 'diff --log-level' 'diff --log-format' 'install --log-level' 'install --log-format' 'notify --log-level' 'notify --log-format' 'status --socket' 'status --format' 'status --log-level' 'status --log-format' 'ready --socket' 'ready --log-level' 'ready --log-format' 'drain --socket' 'drain --log-level' 'drain --log-format' 'resume --socket' 'resume --log-level' 'resume --log-format'
                set --erase words[1]
            end
        else if test $command = -; and test $at = 1; and contains -- $word print exec check diff install notify status ready drain resume
            set command $word
        else if contains -- $command - exec none
            printf '%s\n' $command hands $word $words
            return
        else
            set place (math $place + 1)
        end
    end
    printf '%s\n' $command $place
end

# Tells whether the cursor is at a word of that command, and at that place if one is given.
function __envharness_is
    set --local state (__envharness_state)
    test "$state[1]" = "$argv[1]" -a "$state[2]" != hands; or return 1
    switch "$argv[2]"
        case ''
            return 0
        case more
            test $state[2] -gt 0
        case '*'
            test $state[2] = $argv[2]
    end
end

function __envharness_hands
    test (__envharness_state)[2] = hands
end

function __envharness_program
    set --local words (__envharness_state)[3..-1]
    complete --do-complete (string join -- ' ' (string escape -- $words) (commandline --current-token))
end

complete --command envharness --no-files
complete --command envharness --condition __envharness_hands --arguments '(__envharness_program)'
complete --command envharness --condition '__envharness_is -' --long-option environment --exclusive --arguments '(__fish_complete_directories)' --description 'make DIR\'s entries the variables; repeatable, a later DIR\'s entry replaces an earlier one\'s'
complete --command envharness --condition '__envharness_is -' --long-option export --exclusive --arguments '(__fish_complete_directories)' --description 'announce the service by DIR\'s executables; repeatable, run in the order given'
complete --command envharness --condition '__envharness_is -' --long-option secrets --exclusive --arguments '(__fish_complete_directories)' --description 'make DIR\'s files variables and run none: a mount of secrets; repeatable'
complete --command envharness --condition '__envharness_is -' --long-option names --exclusive --arguments 'strict skip upper' --description 'treat a name that is no variable\'s as an error (strict), skip it, or make one: upper (tls.crt is TLS_CRT)'
complete --command envharness --condition '__envharness_is -' --long-option executable --exclusive --arguments 'mode content' --description 'tell an executable by its mode, or by its content (#! or ELF): for mounts with one mode for all'
complete --command envharness --condition '__envharness_is -' --long-option expand-files --description 'let NAME be the content of the file that NAME_FILE names, unless NAME is set'
complete --command envharness --condition '__envharness_is -' --long-option jobs --exclusive --description 'run N executables of /environment at a time; the result stays the same'
complete --command envharness --condition '__envharness_is -' --long-option export-last --description 'run /export after /environment, with the resolved variables'
complete --command envharness --condition '__envharness_is -' --long-option timeout --exclusive --description 'end one try of one executable after D; 0 never does'
complete --command envharness --condition '__envharness_is -' --long-option deadline --exclusive --description 'end start-up after D'
complete --command envharness --condition '__envharness_is -' --long-option retries --exclusive --description 'try a failed /environment executable N times more'
complete --command envharness --condition '__envharness_is -' --long-option retry-delay --exclusive --description 'wait D before the first of them, then twice as long each time'
complete --command envharness --condition '__envharness_is -' --long-option fail-fast --description 'stop at the first failure, instead of gathering all of them'
complete --command envharness --condition '__envharness_is -' --long-option cache --exclusive --arguments '(__fish_complete_directories)' --description 'keep the last good values in DIR; one whose executable fails is taken from there, with a warning'
complete --command envharness --condition '__envharness_is -' --long-option cache-max-age --exclusive --description 'do not take a value that is older than D'
complete --command envharness --condition '__envharness_is -' --long-option env-file --require-parameter --force-files --description 'read FILE first, in dotenv form; repeatable, a later FILE wins'
complete --command envharness --condition '__envharness_is -' --long-option require --exclusive --description 'fail when one of them is unset or empty; repeatable'
complete --command envharness --condition '__envharness_is -' --long-option empty --exclusive --arguments 'keep unset fail' --description 'keep an empty value, unset its name, or fail'
complete --command envharness --condition '__envharness_is -' --long-option prefer-inherited --description 'let a variable that is already set win, and do not run its executable'
complete --command envharness --condition '__envharness_is -' --long-option pristine --description 'give COMMAND only what was resolved, the env-files, PATH, HOME, TERM, LANG and TZ'
complete --command envharness --condition '__envharness_is -' --long-option pass --exclusive --description 'let these inherited names through --pristine; repeatable'
complete --command envharness --condition '__envharness_is -' --long-option as-file --exclusive --description 'put these variables\' values into files, and let NAME_FILE name NAME\'s; repeatable'
complete --command envharness --condition '__envharness_is -' --long-option files --exclusive --arguments '(__fish_complete_directories)' --description 'put those files into DIR'
complete --command envharness --condition '__envharness_is -' --long-option prepare --require-parameter --force-files --description 'run PATH before COMMAND, with its variables, and fail if it fails; repeatable'
complete --command envharness --condition '__envharness_is -' --long-option user --exclusive --arguments '(__fish_complete_users)' --description 'run COMMAND as USER, by name or number'
complete --command envharness --condition '__envharness_is -' --long-option chdir --exclusive --arguments '(__fish_complete_directories)' --description 'run COMMAND in DIR'
complete --command envharness --condition '__envharness_is -' --long-option init --description 'stay as COMMAND\'s parent: reap orphans, forward signals, withdraw before a stop'
complete --command envharness --condition '__envharness_is -' --long-option grace --exclusive --description 'kill what is left D after a stop began'
complete --command envharness --condition '__envharness_is -' --long-option stop-signal --exclusive --arguments 'TERM INT HUP QUIT USR1 USR2 WINCH KILL' --description 'let these begin a stop too, beside TERM and INT; repeatable'
complete --command envharness --condition '__envharness_is -' --long-option signal-map --exclusive --description 'forward another signal, or with =0 none; repeatable'
complete --command envharness --condition '__envharness_is -' --long-option group --description 'forward signals to COMMAND\'s process group'
complete --command envharness --condition '__envharness_is -' --long-option expect-exit --exclusive --description 'exit with another code than COMMAND\'s; repeatable'
complete --command envharness --condition '__envharness_is -' --long-option parent-death-signal --exclusive --arguments 'TERM INT HUP QUIT USR1 USR2 WINCH KILL' --description 'get this signal when the harness\'s parent dies'
complete --command envharness --condition '__envharness_is -' --long-option socket --require-parameter --force-files --description 'listen at PATH for status, ready, drain and resume'
complete --command envharness --condition '__envharness_is -' --long-option refresh --exclusive --description 'resolve again every D, ±10 %'
complete --command envharness --condition '__envharness_is -' --long-option on-change --exclusive --arguments 'restart signal= exec= exit none' --description 'do this when a value changed: restart, signal=SIG, exec=PATH (which runs with the new values), exit or none'
complete --command envharness --condition '__envharness_is -' --long-option change-delay --exclusive --description 'wait a random time up to D before it, so that a fleet does not follow at once'
complete --command envharness --condition '__envharness_is -' --long-option write --require-parameter --force-files --description 'keep a dotenv file with the values current'
complete --command envharness --condition '__envharness_is -' --long-option ready --require-parameter --force-files --description 'take COMMAND for ready when it says so, or when PATH exits 0'
complete --command envharness --condition '__envharness_is -' --long-option health --require-parameter --force-files --description 'take COMMAND for well while PATH exits 0'
complete --command envharness --condition '__envharness_is -' --long-option health-interval --exclusive --description 'run that every D'
complete --command envharness --condition '__envharness_is -' --long-option health-failures --exclusive --description 'take COMMAND for unhealthy when it fails N times in a row'
complete --command envharness --condition '__envharness_is -' --long-option export-when-ready --description 'run /export once COMMAND is ready, with the resolved variables'
complete --command envharness --condition '__envharness_is -' --long-option timeline --description 'show start-up as bars on stderr'
complete --command envharness --condition '__envharness_is -' --long-option timeline-svg --require-parameter --force-files --description 'draw start-up as a picture in FILE'
complete --command envharness --condition '__envharness_is -' --long-option log-level --exclusive --arguments 'debug info warn error' --description 'log from this level on: debug, info, warn or error'
complete --command envharness --condition '__envharness_is -' --long-option log-format --exclusive --arguments 'text json' --description 'log, errors and hints as text or json'
complete --command envharness --condition '__envharness_is -' --long-option help --short-option h --description 'show this help'
complete --command envharness --condition '__envharness_is -' --long-option version --description 'show version, commit and Go version'
complete --command envharness --condition '__envharness_is - 0' --arguments '(__fish_complete_command)'
complete --command envharness --condition '__envharness_is - 0' --arguments print --description 'resolve and print'
complete --command envharness --condition '__envharness_is print' --long-option format --exclusive --arguments 'sh dotenv json nul docker table' --description 'print as sh, dotenv, json, nul or docker, or as a table for people'
complete --command envharness --condition '__envharness_is print' --long-option output --require-parameter --force-files --description 'write to FILE, mode 0600, all or nothing'
complete --command envharness --condition '__envharness_is print' --long-option all --description 'print what is inherited, too'
complete --command envharness --condition '__envharness_is print' --long-option mask --description 'hide the values'
complete --command envharness --condition '__envharness_is print' --long-option environment --exclusive --arguments '(__fish_complete_directories)' --description 'make DIR\'s entries the variables; repeatable, a later DIR\'s entry replaces an earlier one\'s'
complete --command envharness --condition '__envharness_is print' --long-option export --exclusive --arguments '(__fish_complete_directories)' --description 'announce the service by DIR\'s executables; repeatable, run in the order given'
complete --command envharness --condition '__envharness_is print' --long-option secrets --exclusive --arguments '(__fish_complete_directories)' --description 'make DIR\'s files variables and run none: a mount of secrets; repeatable'
complete --command envharness --condition '__envharness_is print' --long-option names --exclusive --arguments 'strict skip upper' --description 'treat a name that is no variable\'s as an error (strict), skip it, or make one: upper (tls.crt is TLS_CRT)'
complete --command envharness --condition '__envharness_is print' --long-option executable --exclusive --arguments 'mode content' --description 'tell an executable by its mode, or by its content (#! or ELF): for mounts with one mode for all'
complete --command envharness --condition '__envharness_is print' --long-option expand-files --description 'let NAME be the content of the file that NAME_FILE names, unless NAME is set'
complete --command envharness --condition '__envharness_is print' --long-option jobs --exclusive --description 'run N executables of /environment at a time; the result stays the same'
complete --command envharness --condition '__envharness_is print' --long-option export-last --description 'run /export after /environment, with the resolved variables'
complete --command envharness --condition '__envharness_is print' --long-option timeout --exclusive --description 'end one try of one executable after D; 0 never does'
complete --command envharness --condition '__envharness_is print' --long-option deadline --exclusive --description 'end start-up after D'
complete --command envharness --condition '__envharness_is print' --long-option retries --exclusive --description 'try a failed /environment executable N times more'
complete --command envharness --condition '__envharness_is print' --long-option retry-delay --exclusive --description 'wait D before the first of them, then twice as long each time'
complete --command envharness --condition '__envharness_is print' --long-option fail-fast --description 'stop at the first failure, instead of gathering all of them'
complete --command envharness --condition '__envharness_is print' --long-option cache --exclusive --arguments '(__fish_complete_directories)' --description 'keep the last good values in DIR; one whose executable fails is taken from there, with a warning'
complete --command envharness --condition '__envharness_is print' --long-option cache-max-age --exclusive --description 'do not take a value that is older than D'
complete --command envharness --condition '__envharness_is print' --long-option env-file --require-parameter --force-files --description 'read FILE first, in dotenv form; repeatable, a later FILE wins'
complete --command envharness --condition '__envharness_is print' --long-option require --exclusive --description 'fail when one of them is unset or empty; repeatable'
complete --command envharness --condition '__envharness_is print' --long-option empty --exclusive --arguments 'keep unset fail' --description 'keep an empty value, unset its name, or fail'
complete --command envharness --condition '__envharness_is print' --long-option prefer-inherited --description 'let a variable that is already set win, and do not run its executable'
complete --command envharness --condition '__envharness_is print' --long-option pristine --description 'give COMMAND only what was resolved, the env-files, PATH, HOME, TERM, LANG and TZ'
complete --command envharness --condition '__envharness_is print' --long-option pass --exclusive --description 'let these inherited names through --pristine; repeatable'
complete --command envharness --condition '__envharness_is print' --long-option timeline --description 'show start-up as bars on stderr'
complete --command envharness --condition '__envharness_is print' --long-option timeline-svg --require-parameter --force-files --description 'draw start-up as a picture in FILE'
complete --command envharness --condition '__envharness_is print' --long-option log-level --exclusive --arguments 'debug info warn error' --description 'log from this level on: debug, info, warn or error'
complete --command envharness --condition '__envharness_is print' --long-option log-format --exclusive --arguments 'text json' --description 'log, errors and hints as text or json'
complete --command envharness --condition '__envharness_is print' --long-option help --short-option h --description 'show this help'
complete --command envharness --condition '__envharness_is print' --long-option version --description 'show version, commit and Go version'
complete --command envharness --condition '__envharness_is - 0' --arguments exec --description 'become COMMAND, without /export'
complete --command envharness --condition '__envharness_is exec' --long-option environment --exclusive --arguments '(__fish_complete_directories)' --description 'make DIR\'s entries the variables; repeatable, a later DIR\'s entry replaces an earlier one\'s'
complete --command envharness --condition '__envharness_is exec' --long-option export --exclusive --arguments '(__fish_complete_directories)' --description 'announce the service by DIR\'s executables; repeatable, run in the order given'
complete --command envharness --condition '__envharness_is exec' --long-option secrets --exclusive --arguments '(__fish_complete_directories)' --description 'make DIR\'s files variables and run none: a mount of secrets; repeatable'
complete --command envharness --condition '__envharness_is exec' --long-option names --exclusive --arguments 'strict skip upper' --description 'treat a name that is no variable\'s as an error (strict), skip it, or make one: upper (tls.crt is TLS_CRT)'
complete --command envharness --condition '__envharness_is exec' --long-option executable --exclusive --arguments 'mode content' --description 'tell an executable by its mode, or by its content (#! or ELF): for mounts with one mode for all'
complete --command envharness --condition '__envharness_is exec' --long-option expand-files --description 'let NAME be the content of the file that NAME_FILE names, unless NAME is set'
complete --command envharness --condition '__envharness_is exec' --long-option jobs --exclusive --description 'run N executables of /environment at a time; the result stays the same'
complete --command envharness --condition '__envharness_is exec' --long-option export-last --description 'run /export after /environment, with the resolved variables'
complete --command envharness --condition '__envharness_is exec' --long-option timeout --exclusive --description 'end one try of one executable after D; 0 never does'
complete --command envharness --condition '__envharness_is exec' --long-option deadline --exclusive --description 'end start-up after D'
complete --command envharness --condition '__envharness_is exec' --long-option retries --exclusive --description 'try a failed /environment executable N times more'
complete --command envharness --condition '__envharness_is exec' --long-option retry-delay --exclusive --description 'wait D before the first of them, then twice as long each time'
complete --command envharness --condition '__envharness_is exec' --long-option fail-fast --description 'stop at the first failure, instead of gathering all of them'
complete --command envharness --condition '__envharness_is exec' --long-option cache --exclusive --arguments '(__fish_complete_directories)' --description 'keep the last good values in DIR; one whose executable fails is taken from there, with a warning'
complete --command envharness --condition '__envharness_is exec' --long-option cache-max-age --exclusive --description 'do not take a value that is older than D'
complete --command envharness --condition '__envharness_is exec' --long-option env-file --require-parameter --force-files --description 'read FILE first, in dotenv form; repeatable, a later FILE wins'
complete --command envharness --condition '__envharness_is exec' --long-option require --exclusive --description 'fail when one of them is unset or empty; repeatable'
complete --command envharness --condition '__envharness_is exec' --long-option empty --exclusive --arguments 'keep unset fail' --description 'keep an empty value, unset its name, or fail'
complete --command envharness --condition '__envharness_is exec' --long-option prefer-inherited --description 'let a variable that is already set win, and do not run its executable'
complete --command envharness --condition '__envharness_is exec' --long-option pristine --description 'give COMMAND only what was resolved, the env-files, PATH, HOME, TERM, LANG and TZ'
complete --command envharness --condition '__envharness_is exec' --long-option pass --exclusive --description 'let these inherited names through --pristine; repeatable'
complete --command envharness --condition '__envharness_is exec' --long-option as-file --exclusive --description 'put these variables\' values into files, and let NAME_FILE name NAME\'s; repeatable'
complete --command envharness --condition '__envharness_is exec' --long-option files --exclusive --arguments '(__fish_complete_directories)' --description 'put those files into DIR'
complete --command envharness --condition '__envharness_is exec' --long-option prepare --require-parameter --force-files --description 'run PATH before COMMAND, with its variables, and fail if it fails; repeatable'
complete --command envharness --condition '__envharness_is exec' --long-option user --exclusive --arguments '(__fish_complete_users)' --description 'run COMMAND as USER, by name or number'
complete --command envharness --condition '__envharness_is exec' --long-option chdir --exclusive --arguments '(__fish_complete_directories)' --description 'run COMMAND in DIR'
complete --command envharness --condition '__envharness_is exec' --long-option timeline --description 'show start-up as bars on stderr'
complete --command envharness --condition '__envharness_is exec' --long-option timeline-svg --require-parameter --force-files --description 'draw start-up as a picture in FILE'
complete --command envharness --condition '__envharness_is exec' --long-option log-level --exclusive --arguments 'debug info warn error' --description 'log from this level on: debug, info, warn or error'
complete --command envharness --condition '__envharness_is exec' --long-option log-format --exclusive --arguments 'text json' --description 'log, errors and hints as text or json'
complete --command envharness --condition '__envharness_is exec' --long-option help --short-option h --description 'show this help'
complete --command envharness --condition '__envharness_is exec' --long-option version --description 'show version, commit and Go version'
complete --command envharness --condition '__envharness_is exec 0' --arguments '(__fish_complete_command)'
complete --command envharness --condition '__envharness_is - 0' --arguments check --description 'Tells all that is wrong with the entries of /environment and /export, or of each DIR, and exits 1 when there is something'
complete --command envharness --condition '__envharness_is check' --long-option json --description 'print JSON'
complete --command envharness --condition '__envharness_is check' --long-option environment --exclusive --arguments '(__fish_complete_directories)' --description 'make DIR\'s entries the variables; repeatable, a later DIR\'s entry replaces an earlier one\'s'
complete --command envharness --condition '__envharness_is check' --long-option export --exclusive --arguments '(__fish_complete_directories)' --description 'announce the service by DIR\'s executables; repeatable, run in the order given'
complete --command envharness --condition '__envharness_is check' --long-option secrets --exclusive --arguments '(__fish_complete_directories)' --description 'make DIR\'s files variables and run none: a mount of secrets; repeatable'
complete --command envharness --condition '__envharness_is check' --long-option names --exclusive --arguments 'strict skip upper' --description 'treat a name that is no variable\'s as an error (strict), skip it, or make one: upper (tls.crt is TLS_CRT)'
complete --command envharness --condition '__envharness_is check' --long-option executable --exclusive --arguments 'mode content' --description 'tell an executable by its mode, or by its content (#! or ELF): for mounts with one mode for all'
complete --command envharness --condition '__envharness_is check' --long-option expand-files --description 'let NAME be the content of the file that NAME_FILE names, unless NAME is set'
complete --command envharness --condition '__envharness_is check' --long-option log-level --exclusive --arguments 'debug info warn error' --description 'log from this level on: debug, info, warn or error'
complete --command envharness --condition '__envharness_is check' --long-option log-format --exclusive --arguments 'text json' --description 'log, errors and hints as text or json'
complete --command envharness --condition '__envharness_is check' --long-option help --short-option h --description 'show this help'
complete --command envharness --condition '__envharness_is check' --long-option version --description 'show version, commit and Go version'
complete --command envharness --condition '__envharness_is check 0' --arguments '(__fish_complete_directories)'
complete --command envharness --condition '__envharness_is check more' --arguments '(__fish_complete_directories)'
complete --command envharness --condition '__envharness_is - 0' --arguments diff --description 'Tells which names only one DIR has, and exits 1 when there are some'
complete --command envharness --condition '__envharness_is diff' --long-option json --description 'print JSON'
complete --command envharness --condition '__envharness_is diff' --long-option names --exclusive --arguments 'strict skip upper' --description 'treat a name that is no variable\'s as an error (strict), skip it, or make one: upper (tls.crt is TLS_CRT)'
complete --command envharness --condition '__envharness_is diff' --long-option executable --exclusive --arguments 'mode content' --description 'tell an executable by its mode, or by its content (#! or ELF): for mounts with one mode for all'
complete --command envharness --condition '__envharness_is diff' --long-option expand-files --description 'let NAME be the content of the file that NAME_FILE names, unless NAME is set'
complete --command envharness --condition '__envharness_is diff' --long-option log-level --exclusive --arguments 'debug info warn error' --description 'log from this level on: debug, info, warn or error'
complete --command envharness --condition '__envharness_is diff' --long-option log-format --exclusive --arguments 'text json' --description 'log, errors and hints as text or json'
complete --command envharness --condition '__envharness_is diff' --long-option help --short-option h --description 'show this help'
complete --command envharness --condition '__envharness_is diff' --long-option version --description 'show version, commit and Go version'
complete --command envharness --condition '__envharness_is diff 0' --arguments '(__fish_complete_directories)'
complete --command envharness --condition '__envharness_is diff more' --arguments '(__fish_complete_directories)'
complete --command envharness --condition '__envharness_is - 0' --arguments install --description 'copy itself to DEST'
complete --command envharness --condition '__envharness_is install' --long-option log-level --exclusive --arguments 'debug info warn error' --description 'log from this level on: debug, info, warn or error'
complete --command envharness --condition '__envharness_is install' --long-option log-format --exclusive --arguments 'text json' --description 'log, errors and hints as text or json'
complete --command envharness --condition '__envharness_is install' --long-option help --short-option h --description 'show this help'
complete --command envharness --condition '__envharness_is install' --long-option version --description 'show version, commit and Go version'
complete --command envharness --condition '__envharness_is install 0' --force-files
complete --command envharness --condition '__envharness_is install more' --force-files
complete --command envharness --condition '__envharness_is - 0' --arguments notify --description 'say READY=1 and the like on NOTIFY_SOCKET'
complete --command envharness --condition '__envharness_is notify' --long-option log-level --exclusive --arguments 'debug info warn error' --description 'log from this level on: debug, info, warn or error'
complete --command envharness --condition '__envharness_is notify' --long-option log-format --exclusive --arguments 'text json' --description 'log, errors and hints as text or json'
complete --command envharness --condition '__envharness_is notify' --long-option help --short-option h --description 'show this help'
complete --command envharness --condition '__envharness_is notify' --long-option version --description 'show version, commit and Go version'
complete --command envharness --condition '__envharness_is notify 0' --arguments 'READY=1 VALID_USEC= STATUS= RELOADING=1 STOPPING=1 MAINPID= WATCHDOG=1'
complete --command envharness --condition '__envharness_is notify more' --arguments 'READY=1 VALID_USEC= STATUS= RELOADING=1 STOPPING=1 MAINPID= WATCHDOG=1'
complete --command envharness --condition '__envharness_is - 0' --arguments status --description 'Tells what the harness knows of itself and of COMMAND, as JSON'
complete --command envharness --condition '__envharness_is status' --long-option socket --require-parameter --force-files --description 'reach the harness at PATH'
complete --command envharness --condition '__envharness_is status' --long-option format --exclusive --arguments 'json prometheus' --description 'print as json, or as prometheus for the node exporter\'s textfile collector'
complete --command envharness --condition '__envharness_is status' --long-option log-level --exclusive --arguments 'debug info warn error' --description 'log from this level on: debug, info, warn or error'
complete --command envharness --condition '__envharness_is status' --long-option log-format --exclusive --arguments 'text json' --description 'log, errors and hints as text or json'
complete --command envharness --condition '__envharness_is status' --long-option help --short-option h --description 'show this help'
complete --command envharness --condition '__envharness_is status' --long-option version --description 'show version, commit and Go version'
complete --command envharness --condition '__envharness_is - 0' --arguments ready --description 'Exits 0 when COMMAND is ready and well, 1 when it is not: a Kubernetes exec probe'
complete --command envharness --condition '__envharness_is ready' --long-option socket --require-parameter --force-files --description 'reach the harness at PATH'
complete --command envharness --condition '__envharness_is ready' --long-option log-level --exclusive --arguments 'debug info warn error' --description 'log from this level on: debug, info, warn or error'
complete --command envharness --condition '__envharness_is ready' --long-option log-format --exclusive --arguments 'text json' --description 'log, errors and hints as text or json'
complete --command envharness --condition '__envharness_is ready' --long-option help --short-option h --description 'show this help'
complete --command envharness --condition '__envharness_is ready' --long-option version --description 'show version, commit and Go version'
complete --command envharness --condition '__envharness_is - 0' --arguments drain --description 'Withdraws the service and leaves COMMAND running'
complete --command envharness --condition '__envharness_is drain' --long-option socket --require-parameter --force-files --description 'reach the harness at PATH'
complete --command envharness --condition '__envharness_is drain' --long-option log-level --exclusive --arguments 'debug info warn error' --description 'log from this level on: debug, info, warn or error'
complete --command envharness --condition '__envharness_is drain' --long-option log-format --exclusive --arguments 'text json' --description 'log, errors and hints as text or json'
complete --command envharness --condition '__envharness_is drain' --long-option help --short-option h --description 'show this help'
complete --command envharness --condition '__envharness_is drain' --long-option version --description 'show version, commit and Go version'
complete --command envharness --condition '__envharness_is - 0' --arguments resume --description 'Announces the service again after a drain'
complete --command envharness --condition '__envharness_is resume' --long-option socket --require-parameter --force-files --description 'reach the harness at PATH'
complete --command envharness --condition '__envharness_is resume' --long-option log-level --exclusive --arguments 'debug info warn error' --description 'log from this level on: debug, info, warn or error'
complete --command envharness --condition '__envharness_is resume' --long-option log-format --exclusive --arguments 'text json' --description 'log, errors and hints as text or json'
complete --command envharness --condition '__envharness_is resume' --long-option help --short-option h --description 'show this help'
complete --command envharness --condition '__envharness_is resume' --long-option version --description 'show version, commit and Go version'
