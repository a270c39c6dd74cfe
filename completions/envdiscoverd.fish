# Completes envdiscoverd in fish. Written by make generate.

# Prints the command, the place of the word at the cursor, and then the words of a command line of its own.
function __envdiscoverd_state
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
            if contains -- $command none
                printf '%s\n' $command hands $words
                return
            end
        else if string match --quiet -- '-*=*' $word; and test -z "$ended"
        else if string match --quiet -- '-*' $word; and test -z "$ended"
            if contains -- "$command $word" '- --data' '- --etcd' '- --listen' '- --bridge' '- --cert' '- --key' '- --ca' '- --host' '- --registry' '- --variable' '- --host-ip' '- --host-id' '- --realm' '- --prefix' '- --docker-url' '- --docker-address' '- --docker-health' '- --docker-allow' '- --log-level' '- --log-format'
                set --erase words[1]
            end
        else if test $command = -; and test $place = 0; and contains -- $word 
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
function __envdiscoverd_is
    set --local state (__envdiscoverd_state)
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

function __envdiscoverd_hands
    test (__envdiscoverd_state)[2] = hands
end

function __envdiscoverd_program
    set --local words (__envdiscoverd_state)[3..-1]
    complete --do-complete (string join -- ' ' (string escape -- $words) (commandline --current-token))
end

complete --command envdiscoverd --no-files
complete --command envdiscoverd --condition __envdiscoverd_hands --arguments '(__envdiscoverd_program)'
complete --command envdiscoverd --condition '__envdiscoverd_is -' --long-option data --exclusive --arguments '(__fish_complete_directories)' --description 'keep the data of the embedded etcd in DIR'
complete --command envdiscoverd --condition '__envdiscoverd_is -' --long-option etcd --exclusive --description 'stand in front of the etcd at URL, and embed none'
complete --command envdiscoverd --condition '__envdiscoverd_is -' --long-option listen --exclusive --description 'listen at HOST:PORT or unix:PATH; repeatable'
complete --command envdiscoverd --condition '__envdiscoverd_is -' --long-option containers --description 'serve this machine\'s containers too, on Docker bridges'
complete --command envdiscoverd --condition '__envdiscoverd_is -' --long-option bridge --exclusive --description 'take NAME for a Docker bridge, as docker0 and br-…; repeatable'
complete --command envdiscoverd --condition '__envdiscoverd_is -' --long-option auth --description 'ask everyone for a user of etcd'
complete --command envdiscoverd --condition '__envdiscoverd_is -' --long-option cert --require-parameter --force-files --description 'speak TLS, with the certificate in FILE, PEM'
complete --command envdiscoverd --condition '__envdiscoverd_is -' --long-option key --require-parameter --force-files --description 'use the certificate\'s key in FILE, PEM'
complete --command envdiscoverd --condition '__envdiscoverd_is -' --long-option ca --require-parameter --force-files --description 'ask clients for a certificate of the authority in FILE, PEM'
complete --command envdiscoverd --condition '__envdiscoverd_is -' --long-option insecure --description 'allow addresses off loopback without --auth or TLS'
complete --command envdiscoverd --condition '__envdiscoverd_is -' --long-option host --exclusive --description 'let browsers know this server as NAME; repeatable'
complete --command envdiscoverd --condition '__envdiscoverd_is -' --long-option docker --description 'announce the services of this machine\'s containers'
complete --command envdiscoverd --condition '__envdiscoverd_is -' --long-option registry --exclusive --description 'register them in the registry at URL'
complete --command envdiscoverd --condition '__envdiscoverd_is -' --long-option variable --exclusive --description 'read from variable NAME what a container serves'
complete --command envdiscoverd --condition '__envdiscoverd_is -' --long-option host-ip --exclusive --description 'register this machine as ADDRESS, or as IPv4,IPv6'
complete --command envdiscoverd --condition '__envdiscoverd_is -' --long-option host-id --exclusive --description 'call this machine NAME in IDs'
complete --command envdiscoverd --condition '__envdiscoverd_is -' --long-option realm --exclusive --description 'say that this is the part NAME of the fleet'
complete --command envdiscoverd --condition '__envdiscoverd_is -' --long-option prefix --exclusive --description 'write below NAME in the registry'
complete --command envdiscoverd --condition '__envdiscoverd_is -' --long-option docker-url --exclusive --description 'ask the engine at URL'
complete --command envdiscoverd --condition '__envdiscoverd_is -' --long-option docker-address --exclusive --arguments 'host container' --description 'register the address of the host, the container or container:NETWORK'
complete --command envdiscoverd --condition '__envdiscoverd_is -' --long-option docker-health --exclusive --arguments 'state ignore' --description 'take a HEALTHCHECK for the state (state), or ignore it'
complete --command envdiscoverd --condition '__envdiscoverd_is -' --long-option docker-registrator --description 'register published ports as registrator does, by its SERVICE_…'
complete --command envdiscoverd --condition '__envdiscoverd_is -' --long-option docker-allow --exclusive --description 'let containers publish names like GLOB; repeatable'
complete --command envdiscoverd --condition '__envdiscoverd_is -' --long-option log-level --exclusive --arguments 'debug info warn error' --description 'log from this level on: debug, info, warn or error'
complete --command envdiscoverd --condition '__envdiscoverd_is -' --long-option log-format --exclusive --arguments 'text json' --description 'log, errors and hints as text or json'
complete --command envdiscoverd --condition '__envdiscoverd_is -' --long-option help --short-option h --description 'show this help'
complete --command envdiscoverd --condition '__envdiscoverd_is -' --long-option version --description 'show version, commit and Go version'
