#compdef rollpatch

_rollpatch() {
	local -a commands
	commands=(
		'validate:read files and say everything that is wrong with them'
		'plan:say what run would do, and what it would refuse'
		'run:start an instance of a campaign, and watch it'
		'list:list instances, the latest first'
		'status:say how an instance stands, and what to type next'
		'watch:print what an instance does, as it happens, until it ends'
		'why:say what a host, a cluster or a campaign does or waits for, since when, and who can change it'
		'approve:let a soak end that passed'
		'reject:bring a soak'\''s patched members back instead of going on'
		'hold:start nothing further; takes effect at the next border between members'
		'resume:go on after a hold; a member that failed is tried again'
		'abort:start nothing new and bring what is on its way to a safe end'
		'backout:bring every patched member of a cluster back'
		'worker:carry instances out until told to stop'
		'completion:print a shell'\''s completion script'
	)
	if (( CURRENT == 2 )); then
		_describe command commands
		return
	fi
	shift words
	(( CURRENT-- ))
	case $words[1] in
	validate)
		_arguments \
			'--help[show help]' \
			'--inventory=[inventory FILE; the files of a folder inventory.d beside it are added]:file:_files' \
			'--output=[FORMAT of what is printed - text or json]:format:(text json)' \
			'*:file:_files'
		;;
	plan)
		_arguments \
			'--help[show help]' \
			'--inventory=[inventory FILE; the files of a folder inventory.d beside it are added]:file:_files' \
			'--output=[FORMAT of what is printed - text or json]:format:(text json)' \
			'*:file:_files'
		;;
	run)
		_arguments \
			'--address=[ADDRESS of the Temporal server]:value:' \
			'--as=[NAME on record; nobody proves it]:value:' \
			'--detach[start it and return]' \
			'--help[show help]' \
			'--inventory=[inventory FILE; the files of a folder inventory.d beside it are added]:file:_files' \
			'--namespace=[Temporal NAMESPACE]:value:' \
			'--output=[FORMAT of what is printed - text or json]:format:(text json)' \
			'--store=[DIR of plan and ledger bodies, the same as the workers'\'']:file:_files' \
			'--verbose[log what the Temporal client does on stderr]' \
			'*:file:_files'
		;;
	list)
		_arguments \
			'--address=[ADDRESS of the Temporal server]:value:' \
			'--help[show help]' \
			'--limit=[at most N of them; 0 means all]:value:' \
			'--namespace=[Temporal NAMESPACE]:value:' \
			'--output=[FORMAT of what is printed - text or json]:format:(text json)' \
			'--verbose[log what the Temporal client does on stderr]'
		;;
	status)
		_arguments \
			'--address=[ADDRESS of the Temporal server]:value:' \
			'--help[show help]' \
			'--namespace=[Temporal NAMESPACE]:value:' \
			'--output=[FORMAT of what is printed - text or json]:format:(text json)' \
			'--packages[list the packages of each member]' \
			'--store=[DIR of plan and ledger bodies, the same as the workers'\'']:file:_files' \
			'--verbose[log what the Temporal client does on stderr]'
		;;
	watch)
		_arguments \
			'--address=[ADDRESS of the Temporal server]:value:' \
			'--help[show help]' \
			'--namespace=[Temporal NAMESPACE]:value:' \
			'--output=[FORMAT of what is printed - text or json]:format:(text json)' \
			'--store=[DIR of plan and ledger bodies, the same as the workers'\'']:file:_files' \
			'--verbose[log what the Temporal client does on stderr]'
		;;
	why)
		_arguments \
			'--address=[ADDRESS of the Temporal server]:value:' \
			'--help[show help]' \
			'--namespace=[Temporal NAMESPACE]:value:' \
			'--output=[FORMAT of what is printed - text or json]:format:(text json)' \
			'--store=[DIR of plan and ledger bodies, the same as the workers'\'']:file:_files' \
			'--verbose[log what the Temporal client does on stderr]'
		;;
	approve)
		_arguments \
			'--address=[ADDRESS of the Temporal server]:value:' \
			'--as=[NAME on record; nobody proves it]:value:' \
			'--cluster=[NAME of the cluster; may be left out where only one is meant]:value:' \
			'--help[show help]' \
			'--id=[request ID; a message with the same one is taken once]:value:' \
			'--namespace=[Temporal NAMESPACE]:value:' \
			'--output=[FORMAT of what is printed - text or json]:format:(text json)' \
			'--reason=[WHY, on record; asked for on a terminal]:value:' \
			'--soak=[NUMBER of the soak]:value:' \
			'--verbose[log what the Temporal client does on stderr]'
		;;
	reject)
		_arguments \
			'--address=[ADDRESS of the Temporal server]:value:' \
			'--as=[NAME on record; nobody proves it]:value:' \
			'--cluster=[NAME of the cluster; may be left out where only one is meant]:value:' \
			'--help[show help]' \
			'--id=[request ID; a message with the same one is taken once]:value:' \
			'--namespace=[Temporal NAMESPACE]:value:' \
			'--output=[FORMAT of what is printed - text or json]:format:(text json)' \
			'--reason=[WHY, on record; asked for on a terminal]:value:' \
			'--soak=[NUMBER of the soak]:value:' \
			'--verbose[log what the Temporal client does on stderr]'
		;;
	hold)
		_arguments \
			'--address=[ADDRESS of the Temporal server]:value:' \
			'--as=[NAME on record; nobody proves it]:value:' \
			'--cluster=[NAME of one cluster; absent, it is said to the instance]:value:' \
			'--help[show help]' \
			'--id=[request ID; a message with the same one is taken once]:value:' \
			'--namespace=[Temporal NAMESPACE]:value:' \
			'--output=[FORMAT of what is printed - text or json]:format:(text json)' \
			'--reason=[WHY, on record; asked for on a terminal]:value:' \
			'--verbose[log what the Temporal client does on stderr]'
		;;
	resume)
		_arguments \
			'--address=[ADDRESS of the Temporal server]:value:' \
			'--as=[NAME on record; nobody proves it]:value:' \
			'--cluster=[NAME of one cluster; absent, it is said to the instance]:value:' \
			'--help[show help]' \
			'--id=[request ID; a message with the same one is taken once]:value:' \
			'--namespace=[Temporal NAMESPACE]:value:' \
			'--output=[FORMAT of what is printed - text or json]:format:(text json)' \
			'--reason=[WHY, on record; asked for on a terminal]:value:' \
			'--verbose[log what the Temporal client does on stderr]'
		;;
	abort)
		_arguments \
			'--address=[ADDRESS of the Temporal server]:value:' \
			'--as=[NAME on record; nobody proves it]:value:' \
			'--help[show help]' \
			'--id=[request ID; a message with the same one is taken once]:value:' \
			'--namespace=[Temporal NAMESPACE]:value:' \
			'--output=[FORMAT of what is printed - text or json]:format:(text json)' \
			'--reason=[WHY, on record; asked for on a terminal]:value:' \
			'--verbose[log what the Temporal client does on stderr]'
		;;
	backout)
		_arguments \
			'--address=[ADDRESS of the Temporal server]:value:' \
			'--as=[NAME on record; nobody proves it]:value:' \
			'--cluster=[NAME of the cluster; may be left out where only one is meant]:value:' \
			'--help[show help]' \
			'--id=[request ID; a message with the same one is taken once]:value:' \
			'--namespace=[Temporal NAMESPACE]:value:' \
			'--output=[FORMAT of what is printed - text or json]:format:(text json)' \
			'--reason=[WHY, on record; asked for on a terminal]:value:' \
			'--verbose[log what the Temporal client does on stderr]'
		;;
	worker)
		_arguments \
			'--address=[ADDRESS of the Temporal server]:value:' \
			'--audit=[FILE of the audit chain, JSON lines]:file:_files' \
			'--help[show help]' \
			'--namespace=[Temporal NAMESPACE]:value:' \
			'--playbooks=[DIR with playbooks that override or add to the built-in ones]:file:_files' \
			'--segment=[NETWORK whose hosts this worker reaches; may be given several times]:value:' \
			'--store=[DIR of plan and ledger bodies, the same as the CLI'\''s]:file:_files' \
			'--verbose[log what the Temporal client does on stderr]'
		;;
	completion)
		_arguments \
			'--help[show help]' \
			'*:word:(bash zsh fish)'
		;;
	esac
}

_rollpatch "$@"
