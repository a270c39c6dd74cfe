# Completes envdiscover in fish. Written by make generate.

# Prints the command, the place of the word at the cursor, and then the words of a command line of its own.
function __envdiscover_state
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
            if contains -- $command watch direct lock check none
                printf '%s\n' $command hands $words
                return
            end
        else if string match --quiet -- '-*=*' $word; and test -z "$ended"
        else if string match --quiet -- '-*' $word; and test -z "$ended"
            if contains -- "$command $word" 'get --wait' 'get --default' 'get --default-on-error' 'get --url' 'get --log-level' 'get --log-format' 'put --ttl' 'put --if-unchanged' 'put --wait' 'put --url' 'put --log-level' 'put --log-format' 'rm --wait' 'rm --url' 'rm --log-level' 'rm --log-format' 'ls --wait' 'ls --url' 'ls --log-level' 'ls --log-format' 'env --format' 'env --names' 'env --wait' 'env --default' 'env --default-on-error' 'env --url' 'env --log-level' 'env --log-format' 'register --port' 'register --private-port' 'register --id' 'register --ttl' 'register --tag' 'register --metadata' 'register --shard' 'register --user' 'register --password-file' 'register --host' 'register --private-host' 'register --interface' 'register --check' 'register --interval' 'register --timeout' 'register --rise' 'register --fall' 'register --wait' 'register --pid' 'register --url' 'register --log-level' 'register --log-format' 'instances --shard' 'instances --tag' 'instances --wait' 'instances --url' 'instances --log-level' 'instances --log-format' 'services --wait' 'services --url' 'services --log-level' 'services --log-format' 'url --scheme' 'url --path' 'url --shard' 'url --tag' 'url --wait' 'url --default' 'url --default-on-error' 'url --url' 'url --log-level' 'url --log-format' 'watch --shard' 'watch --tag' 'watch --wait' 'watch --url' 'watch --log-level' 'watch --log-format' 'wait --count' 'wait --timeout' 'wait --shard' 'wait --tag' 'wait --url' 'wait --log-level' 'wait --log-format' 'direct --value' 'direct --ttl' 'direct --timeout' 'direct --shard' 'direct --tag' 'direct --wait' 'direct --url' 'direct --log-level' 'direct --log-format' 'lock --wait' 'lock --ttl' 'lock --url' 'lock --log-level' 'lock --log-format' 'check --timeout' 'check --url' 'check --log-level' 'check --log-format' 'engines --log-level' 'engines --log-format' 'completion --log-level' 'completion --log-format'
                set --erase words[1]
            end
        else if test $command = -; and test $place = 0; and contains -- $word get put rm ls env register instances services url watch wait direct lock check engines completion
            set command $word
        else if contains -- $command none
            printf '%s\n' $command hands $word $words
            return
        else
            set place (math $place + 1)
        end
    end
    printf '%s\n' $command $place
end

# Tells whether the cursor is at a word of that command, and at that place if one is given.
function __envdiscover_is
    set --local state (__envdiscover_state)
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

function __envdiscover_hands
    test (__envdiscover_state)[2] = hands
end

function __envdiscover_program
    set --local words (__envdiscover_state)[3..-1]
    complete --do-complete (string join -- ' ' (string escape -- $words) (commandline --current-token))
end

complete --command envdiscover --no-files
complete --command envdiscover --condition __envdiscover_hands --arguments '(__envdiscover_program)'
complete --command envdiscover --condition '__envdiscover_is -' --long-option help --short-option h --description 'show this help'
complete --command envdiscover --condition '__envdiscover_is -' --long-option version --description 'show version, commit and Go version'
complete --command envdiscover --condition '__envdiscover_is - 0' --arguments get --description 'print a value'
complete --command envdiscover --condition '__envdiscover_is get' --long-option wait --exclusive --description 'wait up to D for an answer, and for the registry'
complete --command envdiscover --condition '__envdiscover_is get' --long-option default --exclusive --description 'print V when nothing is found'
complete --command envdiscover --condition '__envdiscover_is get' --long-option default-on-error --exclusive --description 'print V when the registry cannot be asked'
complete --command envdiscover --condition '__envdiscover_is get' --long-option follow --description 'stay: print each new one and say READY=1 behind it'
complete --command envdiscover --condition '__envdiscover_is get' --long-option raw --description 'print the bytes alone, no newline behind them'
complete --command envdiscover --condition '__envdiscover_is get' --long-option url --exclusive --description 'ask the registry at URL'
complete --command envdiscover --condition '__envdiscover_is get' --long-option log-level --exclusive --arguments 'debug info warn error' --description 'log from this level on: debug, info, warn or error'
complete --command envdiscover --condition '__envdiscover_is get' --long-option log-format --exclusive --arguments 'text json' --description 'log, errors and hints as text or json'
complete --command envdiscover --condition '__envdiscover_is get' --long-option help --short-option h --description 'show this help'
complete --command envdiscover --condition '__envdiscover_is get' --long-option version --description 'show version, commit and Go version'
complete --command envdiscover --condition '__envdiscover_is get 0' --arguments '(envdiscover ls 2>/dev/null)'
complete --command envdiscover --condition '__envdiscover_is get more' --force-files
complete --command envdiscover --condition '__envdiscover_is - 0' --arguments put --description ''
complete --command envdiscover --condition '__envdiscover_is put' --long-option ttl --exclusive --description 'let it last for D; without, for ever'
complete --command envdiscover --condition '__envdiscover_is put' --long-option if-absent --description 'write only if there is no such value, else exit 1'
complete --command envdiscover --condition '__envdiscover_is put' --long-option if-unchanged --require-parameter --force-files --description 'write only if it still is what FILE has, to the byte, else exit 1'
complete --command envdiscover --condition '__envdiscover_is put' --long-option wait --exclusive --description 'wait up to D for a registry that is away'
complete --command envdiscover --condition '__envdiscover_is put' --long-option url --exclusive --description 'ask the registry at URL'
complete --command envdiscover --condition '__envdiscover_is put' --long-option log-level --exclusive --arguments 'debug info warn error' --description 'log from this level on: debug, info, warn or error'
complete --command envdiscover --condition '__envdiscover_is put' --long-option log-format --exclusive --arguments 'text json' --description 'log, errors and hints as text or json'
complete --command envdiscover --condition '__envdiscover_is put' --long-option help --short-option h --description 'show this help'
complete --command envdiscover --condition '__envdiscover_is put' --long-option version --description 'show version, commit and Go version'
complete --command envdiscover --condition '__envdiscover_is put 0' --arguments '(envdiscover ls 2>/dev/null)'
complete --command envdiscover --condition '__envdiscover_is put more' --force-files
complete --command envdiscover --condition '__envdiscover_is - 0' --arguments rm --description 'remove a value'
complete --command envdiscover --condition '__envdiscover_is rm' --long-option wait --exclusive --description 'wait up to D for a registry that is away'
complete --command envdiscover --condition '__envdiscover_is rm' --long-option url --exclusive --description 'ask the registry at URL'
complete --command envdiscover --condition '__envdiscover_is rm' --long-option log-level --exclusive --arguments 'debug info warn error' --description 'log from this level on: debug, info, warn or error'
complete --command envdiscover --condition '__envdiscover_is rm' --long-option log-format --exclusive --arguments 'text json' --description 'log, errors and hints as text or json'
complete --command envdiscover --condition '__envdiscover_is rm' --long-option help --short-option h --description 'show this help'
complete --command envdiscover --condition '__envdiscover_is rm' --long-option version --description 'show version, commit and Go version'
complete --command envdiscover --condition '__envdiscover_is rm 0' --arguments '(envdiscover ls 2>/dev/null)'
complete --command envdiscover --condition '__envdiscover_is rm more' --force-files
complete --command envdiscover --condition '__envdiscover_is - 0' --arguments ls --description 'list the names of the values (that match GLOB, as DB_*)'
complete --command envdiscover --condition '__envdiscover_is ls' --long-option json --description 'print JSON'
complete --command envdiscover --condition '__envdiscover_is ls' --long-option wait --exclusive --description 'wait up to D for a registry that is away'
complete --command envdiscover --condition '__envdiscover_is ls' --long-option url --exclusive --description 'ask the registry at URL'
complete --command envdiscover --condition '__envdiscover_is ls' --long-option log-level --exclusive --arguments 'debug info warn error' --description 'log from this level on: debug, info, warn or error'
complete --command envdiscover --condition '__envdiscover_is ls' --long-option log-format --exclusive --arguments 'text json' --description 'log, errors and hints as text or json'
complete --command envdiscover --condition '__envdiscover_is ls' --long-option help --short-option h --description 'show this help'
complete --command envdiscover --condition '__envdiscover_is ls' --long-option version --description 'show version, commit and Go version'
complete --command envdiscover --condition '__envdiscover_is - 0' --arguments env --description 'print all values (that match a GLOB, as DB_*), in one read'
complete --command envdiscover --condition '__envdiscover_is env' --long-option format --exclusive --arguments 'dotenv json sh' --description 'print as dotenv, json or sh'
complete --command envdiscover --condition '__envdiscover_is env' --long-option names --exclusive --arguments 'strict skip upper' --description 'treat names that are no variables so: strict, skip or upper'
complete --command envdiscover --condition '__envdiscover_is env' --long-option wait --exclusive --description 'wait up to D for an answer, and for the registry'
complete --command envdiscover --condition '__envdiscover_is env' --long-option default --exclusive --description 'print V when nothing is found'
complete --command envdiscover --condition '__envdiscover_is env' --long-option default-on-error --exclusive --description 'print V when the registry cannot be asked'
complete --command envdiscover --condition '__envdiscover_is env' --long-option follow --description 'stay: print each new one and say READY=1 behind it'
complete --command envdiscover --condition '__envdiscover_is env' --long-option url --exclusive --description 'ask the registry at URL'
complete --command envdiscover --condition '__envdiscover_is env' --long-option log-level --exclusive --arguments 'debug info warn error' --description 'log from this level on: debug, info, warn or error'
complete --command envdiscover --condition '__envdiscover_is env' --long-option log-format --exclusive --arguments 'text json' --description 'log, errors and hints as text or json'
complete --command envdiscover --condition '__envdiscover_is env' --long-option help --short-option h --description 'show this help'
complete --command envdiscover --condition '__envdiscover_is env' --long-option version --description 'show version, commit and Go version'
complete --command envdiscover --condition '__envdiscover_is - 0' --arguments register --description 'announce a service, hold, withdraw at TERM or the parent\'s end'
complete --command envdiscover --condition '__envdiscover_is register' --long-option port --exclusive --description 'serve at NUMBER, or NUMBER/udp, under NAME; repeatable'
complete --command envdiscover --condition '__envdiscover_is register' --long-option private-port --exclusive --description 'serve at it on the private host; repeatable'
complete --command envdiscover --condition '__envdiscover_is register' --long-option id --exclusive --description 'call the instance ID'
complete --command envdiscover --condition '__envdiscover_is register' --long-option ttl --exclusive --description 'let it be gone D after a death'
complete --command envdiscover --condition '__envdiscover_is register' --long-option tag --exclusive --description 'let others choose it by NAME; repeatable'
complete --command envdiscover --condition '__envdiscover_is register' --long-option metadata --exclusive --description 'tell a fact; repeatable'
complete --command envdiscover --condition '__envdiscover_is register' --long-option shard --exclusive --description 'say that it has the shard NAME of the data'
complete --command envdiscover --condition '__envdiscover_is register' --long-option user --exclusive --description 'let users of the service log in as NAME'
complete --command envdiscover --condition '__envdiscover_is register' --long-option password-file --require-parameter --force-files --description 'let them use the password in FILE'
complete --command envdiscover --condition '__envdiscover_is register' --long-option sync-credentials --description 'share both with the service\'s other instances'
complete --command envdiscover --condition '__envdiscover_is register' --long-option critical --description 'mark it as critical'
complete --command envdiscover --condition '__envdiscover_is register' --long-option public --description 'mark it as public'
complete --command envdiscover --condition '__envdiscover_is register' --long-option host --exclusive --description 'let others reach it at HOST, a name or IP'
complete --command envdiscover --condition '__envdiscover_is register' --long-option private-host --exclusive --description 'let others reach it at HOST privately'
complete --command envdiscover --condition '__envdiscover_is register' --long-option interface --exclusive --description 'take the first address of eth0, eth0:inet6, eth0[1], a CIDR, static:IP'
complete --command envdiscover --condition '__envdiscover_is register' --long-option check --exclusive --description 'see how it is by http://…, tcp://HOST:PORT or exec:PATH'
complete --command envdiscover --condition '__envdiscover_is register' --long-option interval --exclusive --description 'check every D'
complete --command envdiscover --condition '__envdiscover_is register' --long-option timeout --exclusive --description 'end a check after D'
complete --command envdiscover --condition '__envdiscover_is register' --long-option rise --exclusive --description 'let N good ones in a row make it passing'
complete --command envdiscover --condition '__envdiscover_is register' --long-option fall --exclusive --description 'let N bad ones in a row make it failing'
complete --command envdiscover --condition '__envdiscover_is register' --long-option wait --exclusive --description 'wait up to D for a registry that is away'
complete --command envdiscover --condition '__envdiscover_is register' --long-option eventually --description 'say READY=1 at once, register when it can be done'
complete --command envdiscover --condition '__envdiscover_is register' --long-option background --description 'return once it is registered, go on in the background'
complete --command envdiscover --condition '__envdiscover_is register' --long-option pid --exclusive --description 'deregister when process N ends, not the parent'
complete --command envdiscover --condition '__envdiscover_is register' --long-option url --exclusive --description 'ask the registry at URL'
complete --command envdiscover --condition '__envdiscover_is register' --long-option log-level --exclusive --arguments 'debug info warn error' --description 'log from this level on: debug, info, warn or error'
complete --command envdiscover --condition '__envdiscover_is register' --long-option log-format --exclusive --arguments 'text json' --description 'log, errors and hints as text or json'
complete --command envdiscover --condition '__envdiscover_is register' --long-option help --short-option h --description 'show this help'
complete --command envdiscover --condition '__envdiscover_is register' --long-option version --description 'show version, commit and Go version'
complete --command envdiscover --condition '__envdiscover_is register 0' --arguments '(envdiscover services 2>/dev/null)'
complete --command envdiscover --condition '__envdiscover_is register more' --force-files
complete --command envdiscover --condition '__envdiscover_is - 0' --arguments instances --description 'list the instances of a service that pass'
complete --command envdiscover --condition '__envdiscover_is instances' --long-option shard --exclusive --description 'take only instances of shard NAME'
complete --command envdiscover --condition '__envdiscover_is instances' --long-option tag --exclusive --description 'take only instances with tag NAME; repeatable'
complete --command envdiscover --condition '__envdiscover_is instances' --long-option all --description 'take those that do not pass, too'
complete --command envdiscover --condition '__envdiscover_is instances' --long-option json --description 'print JSON'
complete --command envdiscover --condition '__envdiscover_is instances' --long-option wait --exclusive --description 'wait up to D for a registry that is away'
complete --command envdiscover --condition '__envdiscover_is instances' --long-option url --exclusive --description 'ask the registry at URL'
complete --command envdiscover --condition '__envdiscover_is instances' --long-option log-level --exclusive --arguments 'debug info warn error' --description 'log from this level on: debug, info, warn or error'
complete --command envdiscover --condition '__envdiscover_is instances' --long-option log-format --exclusive --arguments 'text json' --description 'log, errors and hints as text or json'
complete --command envdiscover --condition '__envdiscover_is instances' --long-option help --short-option h --description 'show this help'
complete --command envdiscover --condition '__envdiscover_is instances' --long-option version --description 'show version, commit and Go version'
complete --command envdiscover --condition '__envdiscover_is instances 0' --arguments '(envdiscover services 2>/dev/null)'
complete --command envdiscover --condition '__envdiscover_is instances more' --force-files
complete --command envdiscover --condition '__envdiscover_is - 0' --arguments services --description 'list the names of the services that have an instance'
complete --command envdiscover --condition '__envdiscover_is services' --long-option json --description 'print JSON'
complete --command envdiscover --condition '__envdiscover_is services' --long-option wait --exclusive --description 'wait up to D for a registry that is away'
complete --command envdiscover --condition '__envdiscover_is services' --long-option url --exclusive --description 'ask the registry at URL'
complete --command envdiscover --condition '__envdiscover_is services' --long-option log-level --exclusive --arguments 'debug info warn error' --description 'log from this level on: debug, info, warn or error'
complete --command envdiscover --condition '__envdiscover_is services' --long-option log-format --exclusive --arguments 'text json' --description 'log, errors and hints as text or json'
complete --command envdiscover --condition '__envdiscover_is services' --long-option help --short-option h --description 'show this help'
complete --command envdiscover --condition '__envdiscover_is services' --long-option version --description 'show version, commit and Go version'
complete --command envdiscover --condition '__envdiscover_is - 0' --arguments url --description 'print the address of one instance that passes'
complete --command envdiscover --condition '__envdiscover_is url' --long-option scheme --exclusive --description 'make it a URL of SCHEME, with the port of that name'
complete --command envdiscover --condition '__envdiscover_is url' --long-option path --require-parameter --force-files --description 'append PATH, with a query if you like'
complete --command envdiscover --condition '__envdiscover_is url' --long-option private --description 'use the private host and port'
complete --command envdiscover --condition '__envdiscover_is url' --long-option shard --exclusive --description 'take only instances of shard NAME'
complete --command envdiscover --condition '__envdiscover_is url' --long-option tag --exclusive --description 'take only instances with tag NAME; repeatable'
complete --command envdiscover --condition '__envdiscover_is url' --long-option wait --exclusive --description 'wait up to D for an answer, and for the registry'
complete --command envdiscover --condition '__envdiscover_is url' --long-option default --exclusive --description 'print V when nothing is found'
complete --command envdiscover --condition '__envdiscover_is url' --long-option default-on-error --exclusive --description 'print V when the registry cannot be asked'
complete --command envdiscover --condition '__envdiscover_is url' --long-option follow --description 'stay: print each new one and say READY=1 behind it'
complete --command envdiscover --condition '__envdiscover_is url' --long-option url --exclusive --description 'ask the registry at URL'
complete --command envdiscover --condition '__envdiscover_is url' --long-option log-level --exclusive --arguments 'debug info warn error' --description 'log from this level on: debug, info, warn or error'
complete --command envdiscover --condition '__envdiscover_is url' --long-option log-format --exclusive --arguments 'text json' --description 'log, errors and hints as text or json'
complete --command envdiscover --condition '__envdiscover_is url' --long-option help --short-option h --description 'show this help'
complete --command envdiscover --condition '__envdiscover_is url' --long-option version --description 'show version, commit and Go version'
complete --command envdiscover --condition '__envdiscover_is url 0' --arguments '(envdiscover services 2>/dev/null)'
complete --command envdiscover --condition '__envdiscover_is url more' --force-files
complete --command envdiscover --condition '__envdiscover_is - 0' --arguments watch --description 'print each snapshot as JSON, or run PROGRAM with it on stdin'
complete --command envdiscover --condition '__envdiscover_is watch' --long-option shard --exclusive --description 'take only instances of shard NAME'
complete --command envdiscover --condition '__envdiscover_is watch' --long-option tag --exclusive --description 'take only instances with tag NAME; repeatable'
complete --command envdiscover --condition '__envdiscover_is watch' --long-option all --description 'take those that do not pass, too'
complete --command envdiscover --condition '__envdiscover_is watch' --long-option wait --exclusive --description 'wait up to D for a registry that is away'
complete --command envdiscover --condition '__envdiscover_is watch' --long-option url --exclusive --description 'ask the registry at URL'
complete --command envdiscover --condition '__envdiscover_is watch' --long-option log-level --exclusive --arguments 'debug info warn error' --description 'log from this level on: debug, info, warn or error'
complete --command envdiscover --condition '__envdiscover_is watch' --long-option log-format --exclusive --arguments 'text json' --description 'log, errors and hints as text or json'
complete --command envdiscover --condition '__envdiscover_is watch' --long-option help --short-option h --description 'show this help'
complete --command envdiscover --condition '__envdiscover_is watch' --long-option version --description 'show version, commit and Go version'
complete --command envdiscover --condition '__envdiscover_is watch 0' --arguments '(envdiscover services 2>/dev/null)'
complete --command envdiscover --condition '__envdiscover_is watch more' --force-files
complete --command envdiscover --condition '__envdiscover_is - 0' --arguments wait --description 'wait until so many instances of a service pass'
complete --command envdiscover --condition '__envdiscover_is wait' --long-option count --exclusive --description 'wait for N instances'
complete --command envdiscover --condition '__envdiscover_is wait' --long-option timeout --exclusive --description 'wait for D at most'
complete --command envdiscover --condition '__envdiscover_is wait' --long-option shard --exclusive --description 'take only instances of shard NAME'
complete --command envdiscover --condition '__envdiscover_is wait' --long-option tag --exclusive --description 'take only instances with tag NAME; repeatable'
complete --command envdiscover --condition '__envdiscover_is wait' --long-option url --exclusive --description 'ask the registry at URL'
complete --command envdiscover --condition '__envdiscover_is wait' --long-option log-level --exclusive --arguments 'debug info warn error' --description 'log from this level on: debug, info, warn or error'
complete --command envdiscover --condition '__envdiscover_is wait' --long-option log-format --exclusive --arguments 'text json' --description 'log, errors and hints as text or json'
complete --command envdiscover --condition '__envdiscover_is wait' --long-option help --short-option h --description 'show this help'
complete --command envdiscover --condition '__envdiscover_is wait' --long-option version --description 'show version, commit and Go version'
complete --command envdiscover --condition '__envdiscover_is wait 0' --arguments '(envdiscover services 2>/dev/null)'
complete --command envdiscover --condition '__envdiscover_is wait more' --force-files
complete --command envdiscover --condition '__envdiscover_is - 0' --arguments direct --description 'make a value of each snapshot by PROGRAM, one in the cluster'
complete --command envdiscover --condition '__envdiscover_is direct' --long-option value --exclusive --description 'publish what PROGRAM prints as the value NAME'
complete --command envdiscover --condition '__envdiscover_is direct' --long-option ttl --exclusive --description 'let another take over D after a death'
complete --command envdiscover --condition '__envdiscover_is direct' --long-option timeout --exclusive --description 'end a run of PROGRAM after D; 0 never does'
complete --command envdiscover --condition '__envdiscover_is direct' --long-option shard --exclusive --description 'take only instances of shard NAME'
complete --command envdiscover --condition '__envdiscover_is direct' --long-option tag --exclusive --description 'take only instances with tag NAME; repeatable'
complete --command envdiscover --condition '__envdiscover_is direct' --long-option all --description 'take those that do not pass, too'
complete --command envdiscover --condition '__envdiscover_is direct' --long-option wait --exclusive --description 'wait up to D for a registry that is away'
complete --command envdiscover --condition '__envdiscover_is direct' --long-option url --exclusive --description 'ask the registry at URL'
complete --command envdiscover --condition '__envdiscover_is direct' --long-option log-level --exclusive --arguments 'debug info warn error' --description 'log from this level on: debug, info, warn or error'
complete --command envdiscover --condition '__envdiscover_is direct' --long-option log-format --exclusive --arguments 'text json' --description 'log, errors and hints as text or json'
complete --command envdiscover --condition '__envdiscover_is direct' --long-option help --short-option h --description 'show this help'
complete --command envdiscover --condition '__envdiscover_is direct' --long-option version --description 'show version, commit and Go version'
complete --command envdiscover --condition '__envdiscover_is direct 0' --arguments '(envdiscover services 2>/dev/null)'
complete --command envdiscover --condition '__envdiscover_is direct more' --force-files
complete --command envdiscover --condition '__envdiscover_is - 0' --arguments lock --description 'run PROGRAM while this process alone holds NAME, in the cluster'
complete --command envdiscover --condition '__envdiscover_is lock' --long-option wait --exclusive --description 'wait up to D for the lock; 0 tries once'
complete --command envdiscover --condition '__envdiscover_is lock' --long-option ttl --exclusive --description 'let another have it D after a death'
complete --command envdiscover --condition '__envdiscover_is lock' --long-option url --exclusive --description 'ask the registry at URL'
complete --command envdiscover --condition '__envdiscover_is lock' --long-option log-level --exclusive --arguments 'debug info warn error' --description 'log from this level on: debug, info, warn or error'
complete --command envdiscover --condition '__envdiscover_is lock' --long-option log-format --exclusive --arguments 'text json' --description 'log, errors and hints as text or json'
complete --command envdiscover --condition '__envdiscover_is lock' --long-option help --short-option h --description 'show this help'
complete --command envdiscover --condition '__envdiscover_is lock' --long-option version --description 'show version, commit and Go version'
complete --command envdiscover --condition '__envdiscover_is - 0' --arguments check --description 'look once whether a URL, HOST:PORT, program or registry is well'
complete --command envdiscover --condition '__envdiscover_is check' --long-option timeout --exclusive --description 'wait for D at most'
complete --command envdiscover --condition '__envdiscover_is check' --long-option json --description 'print JSON, of a registry'
complete --command envdiscover --condition '__envdiscover_is check' --long-option url --exclusive --description 'ask the registry at URL'
complete --command envdiscover --condition '__envdiscover_is check' --long-option log-level --exclusive --arguments 'debug info warn error' --description 'log from this level on: debug, info, warn or error'
complete --command envdiscover --condition '__envdiscover_is check' --long-option log-format --exclusive --arguments 'text json' --description 'log, errors and hints as text or json'
complete --command envdiscover --condition '__envdiscover_is check' --long-option help --short-option h --description 'show this help'
complete --command envdiscover --condition '__envdiscover_is check' --long-option version --description 'show version, commit and Go version'
complete --command envdiscover --condition '__envdiscover_is check 0' --arguments 'http tcp exec registry'
complete --command envdiscover --condition '__envdiscover_is check more' --force-files
complete --command envdiscover --condition '__envdiscover_is - 0' --arguments engines --description 'show the URLs of registries, and what each engine promises'
complete --command envdiscover --condition '__envdiscover_is engines' --long-option json --description 'print JSON'
complete --command envdiscover --condition '__envdiscover_is engines' --long-option log-level --exclusive --arguments 'debug info warn error' --description 'log from this level on: debug, info, warn or error'
complete --command envdiscover --condition '__envdiscover_is engines' --long-option log-format --exclusive --arguments 'text json' --description 'log, errors and hints as text or json'
complete --command envdiscover --condition '__envdiscover_is engines' --long-option help --short-option h --description 'show this help'
complete --command envdiscover --condition '__envdiscover_is engines' --long-option version --description 'show version, commit and Go version'
complete --command envdiscover --condition '__envdiscover_is - 0' --arguments completion --description 'complete commands in bash, zsh or fish'
complete --command envdiscover --condition '__envdiscover_is completion' --long-option log-level --exclusive --arguments 'debug info warn error' --description 'log from this level on: debug, info, warn or error'
complete --command envdiscover --condition '__envdiscover_is completion' --long-option log-format --exclusive --arguments 'text json' --description 'log, errors and hints as text or json'
complete --command envdiscover --condition '__envdiscover_is completion' --long-option help --short-option h --description 'show this help'
complete --command envdiscover --condition '__envdiscover_is completion' --long-option version --description 'show version, commit and Go version'
complete --command envdiscover --condition '__envdiscover_is completion 0' --arguments 'bash zsh fish'
complete --command envdiscover --condition '__envdiscover_is completion more' --force-files
