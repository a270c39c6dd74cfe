#compdef envdiscoverd
# Completes envdiscoverd in zsh. Written by make generate.

_envdiscoverd() {
	_arguments -S \
		'--data=[keep the data of the embedded etcd in DIR]:DIR:_files -/' \
		'--etcd=[stand in front of the etcd at URL, and embed none]:URL: ' \
		'*--listen=[listen at HOST\:PORT or unix\:PATH; repeatable]:ADDRESS: ' \
		'--containers[serve this machine'\''s containers too, on Docker bridges]' \
		'*--bridge=[take NAME for a Docker bridge, as docker0 and br-…; repeatable]:NAME: ' \
		'--auth[ask everyone for a user of etcd]' \
		'--cert=[speak TLS, with the certificate in FILE, PEM]:FILE:_files' \
		'--key=[use the certificate'\''s key in FILE, PEM]:FILE:_files' \
		'--ca=[ask clients for a certificate of the authority in FILE, PEM]:FILE:_files' \
		'--insecure[allow addresses off loopback without --auth or TLS]' \
		'*--host=[let browsers know this server as NAME; repeatable]:NAME: ' \
		'--docker[announce the services of this machine'\''s containers]' \
		'--registry=[register them in the registry at URL]:URL: ' \
		'--variable=[read from variable NAME what a container serves]:NAME: ' \
		'--host-ip=[register this machine as ADDRESS, or as IPv4,IPv6]:ADDRESS: ' \
		'--host-id=[call this machine NAME in IDs]:NAME: ' \
		'--realm=[say that this is the part NAME of the fleet]:NAME: ' \
		'--prefix=[write below NAME in the registry]:NAME: ' \
		'--docker-url=[ask the engine at URL]:URL: ' \
		'--docker-address=[register the address of the host, the container or container\:NETWORK]:MODE:(host container)' \
		'--docker-health=[take a HEALTHCHECK for the state (state), or ignore it]:MODE:(state ignore)' \
		'--docker-registrator[register published ports as registrator does, by its SERVICE_…]' \
		'*--docker-allow=[let containers publish names like GLOB; repeatable]:GLOB: ' \
		'--log-level=[log from this level on\: debug, info, warn or error]:LEVEL:(debug info warn error)' \
		'--log-format=[log, errors and hints as text or json]:FORMAT:(text json)' \
		'(-h --help)'{-h,--help}'[show this help]' \
		'--version[show version, commit and Go version]'
}

_envdiscoverd "$@"
