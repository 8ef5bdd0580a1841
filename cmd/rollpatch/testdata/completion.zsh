#compdef rollpatch

_rollpatch() {
	local -a commands
	commands=(
		'validate:read files and say everything that is wrong with them'
		'check:say which hosts could be patched, and what stands against the others'
		'plan:say what run would do, and what it would refuse'
		'run:start an instance of a campaign, and watch it'
		'list:list instances, the latest first'
		'status:say how an instance stands, and what to type next'
		'watch:print what an instance does, as it happens, until it ends'
		'why:say what a host, a cluster or a campaign does or waits for, since when, and who can change it'
		'report:say what became of an instance: plan and versions, approvals, holds, debts, what is left'
		'approve:agree to what waits at a gate: a start, a stage, or the end of a soak that passed; or break a freeze'
		'reject:refuse what waits at a gate; after a soak: bring its patched members back instead of going on'
		'extend:let a soak last longer'
		'retry:try a member again that failed, or ask again at once for what it holds for'
		'skip:leave a member that failed as it is, or give up on one that holds, and go on with the next one'
		'hold:start nothing further; takes effect at the next border between members'
		'resume:go on after a hold that a person set'
		'abort:start nothing new and bring what is on its way to a safe end'
		'backout:bring every patched member of a cluster, or of all that are on their way, back, and halt'
		'schedule:have a campaign'\''s instances begin by themselves'
		'standing:agree once, with limits, to what a schedule makes by itself'
		'freeze:keep the whole estate as it is, or say whether it is kept so'
		'thaw:end the freeze of the whole estate'
		'claims:show what instances have locked in Consul, or break a claim whose owner is gone'
		'quarantine:show hosts that are not touched any more and versions that are left out, widen or end a quarantine'
		'inventory:make an inventory of what other programs know, and see what is at risk in one'
		'access:make hosts known before anything is done there'
		'worker:carry instances out until told to stop'
		'completion:print a shell'\''s completion script'
		'version:say which build this is'
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
	check)
		_arguments \
			'--address=[ADDRESS of the Temporal server]:value:' \
			'--help[show help]' \
			'--inventory=[inventory FILE; the files of a folder inventory.d beside it are added]:file:_files' \
			'--namespace=[Temporal NAMESPACE]:value:' \
			'--output=[FORMAT of what is printed - text or json]:format:(text json)' \
			'--store=[DIR of plan and ledger bodies, the same as the workers'\'']:file:_files' \
			'--verbose[log what the Temporal client does on stderr]' \
			'*:file:_files'
		;;
	plan)
		_arguments \
			'--address=[ADDRESS of the Temporal server]:value:' \
			'--advisories=[look --advisory up in PATH, a file or folder of OSV JSON, and not where emergency.advisories says]:file:_files' \
			'--advisory=[ID of an advisory, such as DSA-5724-1, USN-6859-1 or CVE-2024-6387, whose packages the emergency brings; again for each]:value:' \
			'--emergency[bring what --package and --advisory name now - one emergency approver agrees before, everybody else within a day after (docs/emergency.md)]' \
			'--help[show help]' \
			'--inventory=[inventory FILE; the files of a folder inventory.d beside it are added]:file:_files' \
			'--namespace=[Temporal NAMESPACE]:value:' \
			'--of=[the INSTANCE whose leftovers are meant]:value:' \
			'--offline[ask no host - what the files alone say]' \
			'--only=[WHAT of the campaign - leftovers, the hosts that the instance of --of did not bring to what was planned]:value:' \
			'--output=[FORMAT of what is printed - text, json, or markdown or html for a change request]:format:(text json markdown html)' \
			'--package=[NAME of a package that the emergency brings, or a glob such as '\''libssl*'\''; again for each]:value:' \
			'--plan=[ask no host - show the plan of FILE, as --save wrote it]:file:_files' \
			'--save=[write the plan to FILE, which must not exist - for approval, and run --plan]:file:_files' \
			'--store=[DIR of plan and ledger bodies, the same as the workers'\'']:file:_files' \
			'--verbose[log what the Temporal client does on stderr]' \
			'*:file:_files'
		;;
	run)
		_arguments \
			'--address=[ADDRESS of the Temporal server]:value:' \
			'--advisories=[look --advisory up in PATH, a file or folder of OSV JSON, and not where emergency.advisories says]:file:_files' \
			'--advisory=[ID of an advisory, such as DSA-5724-1, USN-6859-1 or CVE-2024-6387, whose packages the emergency brings; again for each]:value:' \
			'--as=[NAME on record; nobody proves it]:value:' \
			'--detach[start it and return]' \
			'--emergency[bring what --package and --advisory name now - one emergency approver agrees before, everybody else within a day after (docs/emergency.md)]' \
			'--expires=[TIME for which what is signed counts - 90m, 12h, 2d]:value:' \
			'--help[show help]' \
			'--inventory=[inventory FILE; the files of a folder inventory.d beside it are added]:file:_files' \
			'--key=[sign with this FILE - a private key, or a public one whose private key the SSH agent has]:file:_files' \
			'--namespace=[Temporal NAMESPACE]:value:' \
			'--of=[the INSTANCE whose leftovers are meant]:value:' \
			'--only=[WHAT of the campaign - leftovers, the hosts that the instance of --of did not bring to what was planned]:value:' \
			'--output=[FORMAT of what is printed - text or json]:format:(text json)' \
			'--package=[NAME of a package that the emergency brings, or a glob such as '\''libssl*'\''; again for each]:value:' \
			'--plan=[run the plan of FILE, as plan --save wrote it]:file:_files' \
			'--store=[DIR of plan and ledger bodies, the same as the workers'\'']:file:_files' \
			'--unsigned[do not sign, even where a gate asks for it]' \
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
	report)
		_arguments \
			'--address=[ADDRESS of the Temporal server]:value:' \
			'--audit=[FILE of the audit chain, the same as the workers'\'']:file:_files' \
			'--help[show help]' \
			'--namespace=[Temporal NAMESPACE]:value:' \
			'--only=[print WHAT only - leftovers, the hosts that were not brought to what was planned]:value:' \
			'--output=[FORMAT of what is printed - markdown or json]:format:(text json markdown)' \
			'--store=[DIR of plan and ledger bodies, the same as the workers'\'']:file:_files' \
			'--verbose[log what the Temporal client does on stderr]'
		;;
	approve)
		_arguments \
			'--address=[ADDRESS of the Temporal server]:value:' \
			'--as=[NAME on record; nobody proves it]:value:' \
			'--cluster=[NAME of the cluster; may be left out where only one is meant]:value:' \
			'--expires=[TIME for which what is signed counts - 90m, 12h, 2d]:value:' \
			'--freeze=[NAME of a freeze that keeps it waiting - its own approvers break this one span of it for this one instance]:value:' \
			'--help[show help]' \
			'--id=[request ID; a message with the same one is taken once]:value:' \
			'--key=[sign with this FILE - a private key, or a public one whose private key the SSH agent has]:file:_files' \
			'--namespace=[Temporal NAMESPACE]:value:' \
			'--output=[FORMAT of what is printed - text or json]:format:(text json)' \
			'--print-statement[print what would be signed, and send nothing]' \
			'--reason=[WHY, on record; asked for on a terminal]:value:' \
			'--signature=[FILE with the armoured signature over it]:file:_files' \
			'--soak=[NUMBER of the soak]:value:' \
			'--stage=[NAME of a stage - its gate, and with one signature every soak of its clusters that waits (with --when-pass also those to come)]:value:' \
			'--statement=[FILE with what was signed, as --print-statement printed it]:file:_files' \
			'--store=[DIR of plan and ledger bodies, the same as the workers'\'']:file:_files' \
			'--unsigned[do not sign, even where a gate asks for it]' \
			'--verbose[log what the Temporal client does on stderr]' \
			'--when-pass[ahead of a soak'\''s end - valid only if it passes without a finding. Without --expires it counts until a day after that, by the plan in the store]'
		;;
	reject)
		_arguments \
			'--address=[ADDRESS of the Temporal server]:value:' \
			'--as=[NAME on record; nobody proves it]:value:' \
			'--cluster=[NAME of the cluster; may be left out where only one is meant]:value:' \
			'--expires=[TIME for which what is signed counts - 90m, 12h, 2d]:value:' \
			'--freeze=[NAME of a freeze - it stands, also if it was broken for this instance]:value:' \
			'--help[show help]' \
			'--id=[request ID; a message with the same one is taken once]:value:' \
			'--key=[sign with this FILE - a private key, or a public one whose private key the SSH agent has]:file:_files' \
			'--namespace=[Temporal NAMESPACE]:value:' \
			'--output=[FORMAT of what is printed - text or json]:format:(text json)' \
			'--print-statement[print what would be signed, and send nothing]' \
			'--reason=[WHY, on record; asked for on a terminal]:value:' \
			'--signature=[FILE with the armoured signature over it]:file:_files' \
			'--soak=[NUMBER of the soak]:value:' \
			'--stage=[NAME of a stage - its gate, and with one signature every soak of its clusters that waits (with --when-pass also those to come)]:value:' \
			'--statement=[FILE with what was signed, as --print-statement printed it]:file:_files' \
			'--unsigned[do not sign, even where a gate asks for it]' \
			'--verbose[log what the Temporal client does on stderr]'
		;;
	extend)
		_arguments \
			'--address=[ADDRESS of the Temporal server]:value:' \
			'--as=[NAME on record; nobody proves it]:value:' \
			'--cluster=[NAME of the cluster; may be left out where only one is meant]:value:' \
			'--for=[TIME that is added - 90m, 12h, 2d]:value:' \
			'--help[show help]' \
			'--id=[request ID; a message with the same one is taken once]:value:' \
			'--namespace=[Temporal NAMESPACE]:value:' \
			'--output=[FORMAT of what is printed - text or json]:format:(text json)' \
			'--reason=[WHY, on record; asked for on a terminal]:value:' \
			'--soak=[NUMBER of the soak]:value:' \
			'--verbose[log what the Temporal client does on stderr]'
		;;
	retry)
		_arguments \
			'--address=[ADDRESS of the Temporal server]:value:' \
			'--as=[NAME on record; nobody proves it]:value:' \
			'--cluster=[NAME of the cluster; may be left out where only one is meant]:value:' \
			'--help[show help]' \
			'--host=[NAME of the member; may be left out where only one is meant]:value:' \
			'--id=[request ID; a message with the same one is taken once]:value:' \
			'--namespace=[Temporal NAMESPACE]:value:' \
			'--output=[FORMAT of what is printed - text or json]:format:(text json)' \
			'--reason=[WHY, on record; asked for on a terminal]:value:' \
			'--verbose[log what the Temporal client does on stderr]'
		;;
	skip)
		_arguments \
			'--address=[ADDRESS of the Temporal server]:value:' \
			'--as=[NAME on record; nobody proves it]:value:' \
			'--cluster=[NAME of the cluster; may be left out where only one is meant]:value:' \
			'--help[show help]' \
			'--host=[NAME of the member; may be left out where only one is meant]:value:' \
			'--id=[request ID; a message with the same one is taken once]:value:' \
			'--namespace=[Temporal NAMESPACE]:value:' \
			'--output=[FORMAT of what is printed - text or json]:format:(text json)' \
			'--reason=[WHY, on record; asked for on a terminal]:value:' \
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
			'--all[every cluster of the instance that is on its way]' \
			'--as=[NAME on record; nobody proves it]:value:' \
			'--cluster=[NAME of the cluster; may be left out where only one is meant]:value:' \
			'--help[show help]' \
			'--id=[request ID; a message with the same one is taken once]:value:' \
			'--namespace=[Temporal NAMESPACE]:value:' \
			'--output=[FORMAT of what is printed - text or json]:format:(text json)' \
			'--reason=[WHY, on record; asked for on a terminal]:value:' \
			'--verbose[log what the Temporal client does on stderr]'
		;;
	schedule)
		commands=(
			'create:have the server make instances of a campaign by its schedule, as the files are now'
			'list:list the schedules, when they fire next, and whether they are paused'
			'next:say when the next instance is made and begins, and lay the whole of it over its windows'
			'plan:show the plan that a schedule made, or its change request'
			'pause:have a schedule make no further instance'
			'resume:end a pause, a person'\''s or the one after a failure'
			'trigger:make the next instance now; it begins as one that a person runs'
			'delete:have the server forget a schedule; what is on its way goes on'
		)
		if (( CURRENT == 2 )); then
			_describe command commands
			return
		fi
		shift words
		(( CURRENT-- ))
		case $words[1] in
		create)
			_arguments \
				'--address=[ADDRESS of the Temporal server]:value:' \
				'--as=[NAME on record; nobody proves it]:value:' \
				'--expires=[TIME for which what is signed counts - 90m, 12h, 2d]:value:' \
				'--help[show help]' \
				'--inventory=[inventory FILE; the files of a folder inventory.d beside it are added]:file:_files' \
				'--key=[sign with this FILE - a private key, or a public one whose private key the SSH agent has]:file:_files' \
				'--namespace=[Temporal NAMESPACE]:value:' \
				'--output=[FORMAT of what is printed - text or json]:format:(text json)' \
				'--store=[DIR of plan and ledger bodies, the same as the workers'\'']:file:_files' \
				'--unsigned[do not sign, even where a gate asks for it]' \
				'--verbose[log what the Temporal client does on stderr]' \
				'*:file:_files'
			;;
		list)
			_arguments \
				'--address=[ADDRESS of the Temporal server]:value:' \
				'--help[show help]' \
				'--namespace=[Temporal NAMESPACE]:value:' \
				'--output=[FORMAT of what is printed - text or json]:format:(text json)' \
				'--verbose[log what the Temporal client does on stderr]'
			;;
		next)
			_arguments \
				'--help[show help]' \
				'--inventory=[inventory FILE; the files of a folder inventory.d beside it are added]:file:_files' \
				'--output=[FORMAT of what is printed - text or json]:format:(text json)' \
				'*:file:_files'
			;;
		plan)
			_arguments \
				'--address=[ADDRESS of the Temporal server]:value:' \
				'--help[show help]' \
				'--namespace=[Temporal NAMESPACE]:value:' \
				'--output=[FORMAT of what is printed - text, json, or markdown or html for a change request]:format:(text json markdown html)' \
				'--store=[DIR of plan and ledger bodies, the same as the workers'\'']:file:_files' \
				'--verbose[log what the Temporal client does on stderr]'
			;;
		pause)
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
		resume)
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
		trigger)
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
		delete)
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
		esac
		;;
	standing)
		commands=(
			'give:sign a standing approval: it opens gates of what the schedule makes, where every cluster and package is within its limits'
			'list:list standing approvals: whose, for what, and until when'
			'withdraw:have one count no more, at any gate that is not open yet; everybody may'
		)
		if (( CURRENT == 2 )); then
			_describe command commands
			return
		fi
		shift words
		(( CURRENT-- ))
		case $words[1] in
		give)
			_arguments \
				'--address=[ADDRESS of the Temporal server]:value:' \
				'--any-files[also when the schedule is created anew with other files, with other soaks or checks]' \
				'--as=[NAME on record; nobody proves it]:value:' \
				'--cluster=[PATTERN of clusters, such as web or web-*; may be given several times]:value:' \
				'--expires=[TIME for which it counts - 30d, 12h; at most 90d. Without one there is none]:value:' \
				'--gate=[GATE that it opens - start, or stage/NAME; may be given several times]:value:' \
				'--help[show help]' \
				'--id=[request ID; a message with the same one is taken once]:value:' \
				'--key=[sign with this FILE - a private key, or a public one whose private key the SSH agent has]:file:_files' \
				'--namespace=[Temporal NAMESPACE]:value:' \
				'--output=[FORMAT of what is printed - text or json]:format:(text json)' \
				'--package=[PATTERN of packages that may come, change or go, such as openssl or lib*; may be given several times]:value:' \
				'--print-statement[print what would be signed, and send nothing]' \
				'--reason=[WHY, on record; asked for on a terminal]:value:' \
				'--signature=[FILE with the armoured signature over it]:file:_files' \
				'--statement=[FILE with what was signed, as --print-statement printed it]:file:_files' \
				'--verbose[log what the Temporal client does on stderr]'
			;;
		list)
			_arguments \
				'--address=[ADDRESS of the Temporal server]:value:' \
				'--help[show help]' \
				'--namespace=[Temporal NAMESPACE]:value:' \
				'--output=[FORMAT of what is printed - text or json]:format:(text json)' \
				'--verbose[log what the Temporal client does on stderr]'
			;;
		withdraw)
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
		esac
		;;
	freeze)
		commands=(
			'now:drain, patch and reboot no member of any campaign until the thaw'
			'list:say whether the estate is frozen, by whom, since when and why; and which freezes of the files stand within a day, and who may break them'
		)
		if (( CURRENT == 2 )); then
			_describe command commands
			return
		fi
		shift words
		(( CURRENT-- ))
		case $words[1] in
		now)
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
		list)
			_arguments \
				'--address=[ADDRESS of the Temporal server]:value:' \
				'--campaign=[FILE of a campaign whose freezes are listed too; may be given several times]:value:' \
				'--help[show help]' \
				'--inventory=[inventory FILE; the files of a folder inventory.d beside it are added]:file:_files' \
				'--namespace=[Temporal NAMESPACE]:value:' \
				'--output=[FORMAT of what is printed - text or json]:format:(text json)' \
				'--verbose[log what the Temporal client does on stderr]'
			;;
		esac
		;;
	thaw)
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
	claims)
		commands=(
			'list:list the claims of clusters and the records of drained hosts, and whether their owners still work'
			'break:take a cluster'\''s claim away from an owner that does not work on it any more'
		)
		if (( CURRENT == 2 )); then
			_describe command commands
			return
		fi
		shift words
		(( CURRENT-- ))
		case $words[1] in
		list)
			_arguments \
				'--address=[ADDRESS of the Temporal server]:value:' \
				'--help[show help]' \
				'--inventory=[inventory FILE; the files of a folder inventory.d beside it are added]:file:_files' \
				'--namespace=[Temporal NAMESPACE]:value:' \
				'--output=[FORMAT of what is printed - text or json]:format:(text json)' \
				'--store=[DIR of plan and ledger bodies, the same as the workers'\'']:file:_files' \
				'--verbose[log what the Temporal client does on stderr]'
			;;
		break)
			_arguments \
				'--address=[ADDRESS of the Temporal server]:value:' \
				'--as=[NAME on record; nobody proves it]:value:' \
				'--elsewhere[also a record of another rollpatch, with a database of its own, which is gone for good]' \
				'--help[show help]' \
				'--id=[request ID; a message with the same one is taken once]:value:' \
				'--inventory=[inventory FILE; the files of a folder inventory.d beside it are added]:file:_files' \
				'--namespace=[Temporal NAMESPACE]:value:' \
				'--output=[FORMAT of what is printed - text or json]:format:(text json)' \
				'--reason=[WHY, on record; asked for on a terminal]:value:' \
				'--store=[DIR of plan and ledger bodies, the same as the workers'\'']:file:_files' \
				'--verbose[log what the Temporal client does on stderr]'
			;;
		esac
		;;
	quarantine)
		commands=(
			'list:list the hosts and the versions in quarantine, since when, and why'
			'release:end a host'\''s quarantine in one of three ways, or that of versions'
			'widen:leave versions in quarantine out on another cluster too, or on every one'
		)
		if (( CURRENT == 2 )); then
			_describe command commands
			return
		fi
		shift words
		(( CURRENT-- ))
		case $words[1] in
		list)
			_arguments \
				'--address=[ADDRESS of the Temporal server]:value:' \
				'--help[show help]' \
				'--inventory=[inventory FILE; the files of a folder inventory.d beside it are added]:file:_files' \
				'--namespace=[Temporal NAMESPACE]:value:' \
				'--output=[FORMAT of what is printed - text or json]:format:(text json)' \
				'--store=[DIR of plan and ledger bodies, the same as the workers'\'']:file:_files' \
				'--verbose[log what the Temporal client does on stderr]'
			;;
		release)
			_arguments \
				'--address=[ADDRESS of the Temporal server]:value:' \
				'--as=[NAME on record; nobody proves it]:value:' \
				'--elsewhere[also a record of another rollpatch, with a database of its own, which is gone for good]' \
				'--help[show help]' \
				'--id=[request ID; a message with the same one is taken once]:value:' \
				'--inventory=[inventory FILE; the files of a folder inventory.d beside it are added]:file:_files' \
				'--namespace=[Temporal NAMESPACE]:value:' \
				'--output=[FORMAT of what is printed - text or json]:format:(text json)' \
				'--reason=[WHY, on record; asked for on a terminal]:value:' \
				'--rebuilt[the host was set up anew - check it and put it into service]' \
				'--retired[the host is gone for good - forget it, and touch nothing]' \
				'--return[the host is in order again - check it and put it back into service]' \
				'--store=[DIR of plan and ledger bodies, the same as the workers'\'']:file:_files' \
				'--verbose[log what the Temporal client does on stderr]'
			;;
		widen)
			_arguments \
				'--address=[ADDRESS of the Temporal server]:value:' \
				'--all[leave them out on every cluster]' \
				'--as=[NAME on record; nobody proves it]:value:' \
				'--cluster=[NAME of the cluster that they are left out on too]:value:' \
				'--help[show help]' \
				'--id=[request ID; a message with the same one is taken once]:value:' \
				'--inventory=[inventory FILE; the files of a folder inventory.d beside it are added]:file:_files' \
				'--namespace=[Temporal NAMESPACE]:value:' \
				'--output=[FORMAT of what is printed - text or json]:format:(text json)' \
				'--reason=[WHY, on record; asked for on a terminal]:value:' \
				'--store=[DIR of plan and ledger bodies, the same as the workers'\'']:file:_files' \
				'--verbose[log what the Temporal client does on stderr]'
			;;
		esac
		;;
	inventory)
		commands=(
			'import:print an inventory for rollpatch, made from another program'\''s'
			'risks:list single points of failure, and what rollpatch cannot protect'
		)
		if (( CURRENT == 2 )); then
			_describe command commands
			return
		fi
		shift words
		(( CURRENT-- ))
		case $words[1] in
		import)
			commands=(
				'ansible:from inventories of Ansible'\''s, INI or YAML, merged in the order given'
				'consul:from the catalog of one datacenter of Consul'\''s'
			)
			if (( CURRENT == 2 )); then
				_describe command commands
				return
			fi
			shift words
			(( CURRENT-- ))
			case $words[1] in
			ansible)
				_arguments \
					'--cluster-groups=[GLOB of the groups that become clusters; may be given several times]:value:' \
					'--help[show help]' \
					'--playbook-dir=[DIR of the playbooks, where group_vars and host_vars stand beside them]:file:_files' \
					'--user=[NAME of who logs in where no ansible_user says so]:value:' \
					'*:file:_files'
				;;
			consul)
				_arguments \
					'--address=[ADDRESS of an agent'\''s HTTP API, host -port or with http -// or https -//]:value:' \
					'--datacenter=[NAME of the datacenter]:value:' \
					'--help[show help]' \
					'--services=[GLOB of the services that become clusters; may be given several times]:value:' \
					'--user=[NAME of who logs in to the hosts - nothing in Consul says so]:value:'
				;;
			esac
			;;
		risks)
			_arguments \
				'--help[show help]' \
				'--inventory=[inventory FILE; the files of a folder inventory.d beside it are added]:file:_files' \
				'--output=[FORMAT of what is printed - text or json]:format:(text json)' \
				'*:file:_files'
			;;
		esac
		;;
	access)
		commands=(
			'scan:show the host keys of the inventory'\''s hosts, and have a person put them into known_hosts'
		)
		if (( CURRENT == 2 )); then
			_describe command commands
			return
		fi
		shift words
		(( CURRENT-- ))
		case $words[1] in
		scan)
			_arguments \
				'--accept[write what is new, once it is confirmed]' \
				'--changed=[HOST whose changed key is written too; may be given several times]:value:' \
				'--digest=[DIGEST of the keys that were shown, in place of a question]:value:' \
				'--help[show help]' \
				'--inventory=[inventory FILE; the files of a folder inventory.d beside it are added]:file:_files' \
				'--output=[FORMAT of what is printed - text or json]:format:(text json)'
			;;
		esac
		;;
	worker)
		_arguments \
			'--address=[ADDRESS of the Temporal server]:value:' \
			'--audit=[FILE of the audit chain, JSON lines]:file:_files' \
			'--help[show help]' \
			'--inventory=[FILE of the inventory - in its Consuls, what instances left behind that the server does not know any more is looked for, and mended; read anew at every sweep]:file:_files' \
			'--namespace=[Temporal NAMESPACE]:value:' \
			'--playbooks=[DIR with playbooks that override or add to the built-in ones]:file:_files' \
			'--revoked=[FILE of revoked public keys, one a line; read anew for each approval]:file:_files' \
			'--segment=[NETWORK whose hosts this worker reaches; may be given several times]:value:' \
			'--signers=[FILE of allowed signers, by which approvals are verified; read anew for each. With it, no campaign brings a file of its own]:file:_files' \
			'--store=[DIR of plan and ledger bodies, the same as the CLI'\''s]:file:_files' \
			'--sweep=[how often to look for members and clusters whose workflows were ended from outside, and take them up]:value:' \
			'--verbose[log what the Temporal client does on stderr]'
		;;
	completion)
		_arguments \
			'--help[show help]' \
			'*:word:(bash zsh fish)'
		;;
	version)
		_arguments \
			'--help[show help]'
		;;
	esac
}

_rollpatch "$@"
