_rollpatch() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W "validate check plan run list status watch why report approve reject extend retry skip hold resume abort backout schedule standing freeze thaw claims quarantine inventory access worker completion version" -- "$cur")
		return
	fi
	local flags='' words='' files='' formats=''
	case ${COMP_WORDS[1]} in
	validate)
		flags="--help --inventory --output"
		formats="text json"
		files=yes
		;;
	check)
		flags="--address --help --inventory --namespace --output --store --verbose"
		formats="text json"
		files=yes
		;;
	plan)
		flags="--address --advisories --advisory --emergency --help --inventory --namespace --of --offline --only --output --package --plan --save --store --verbose"
		formats="text json markdown html"
		files=yes
		;;
	run)
		flags="--address --advisories --advisory --as --detach --emergency --expires --help --inventory --key --namespace --of --only --output --package --plan --store --unsigned --verbose"
		formats="text json"
		files=yes
		;;
	list)
		flags="--address --help --limit --namespace --output --verbose"
		formats="text json"
		;;
	status)
		flags="--address --help --namespace --output --packages --store --verbose"
		formats="text json"
		;;
	watch)
		flags="--address --help --namespace --output --store --verbose"
		formats="text json"
		;;
	why)
		flags="--address --help --namespace --output --store --verbose"
		formats="text json"
		;;
	report)
		flags="--address --audit --help --namespace --only --output --store --verbose"
		formats="text json markdown"
		;;
	approve)
		flags="--address --as --cluster --expires --freeze --help --id --key --namespace --output --print-statement --reason --signature --soak --stage --statement --store --unsigned --verbose --when-pass"
		formats="text json"
		;;
	reject)
		flags="--address --as --cluster --expires --freeze --help --id --key --namespace --output --print-statement --reason --signature --soak --stage --statement --unsigned --verbose"
		formats="text json"
		;;
	extend)
		flags="--address --as --cluster --for --help --id --namespace --output --reason --soak --verbose"
		formats="text json"
		;;
	retry)
		flags="--address --as --cluster --help --host --id --namespace --output --reason --verbose"
		formats="text json"
		;;
	skip)
		flags="--address --as --cluster --help --host --id --namespace --output --reason --verbose"
		formats="text json"
		;;
	hold)
		flags="--address --as --cluster --help --id --namespace --output --reason --verbose"
		formats="text json"
		;;
	resume)
		flags="--address --as --cluster --help --id --namespace --output --reason --verbose"
		formats="text json"
		;;
	abort)
		flags="--address --as --help --id --namespace --output --reason --verbose"
		formats="text json"
		;;
	backout)
		flags="--address --all --as --cluster --help --id --namespace --output --reason --verbose"
		formats="text json"
		;;
	schedule)
		if [ "$COMP_CWORD" -eq 2 ]; then
			words="create list next plan pause resume trigger delete"
		fi
		case ${COMP_WORDS[2]} in
		create)
			flags="--address --as --expires --help --inventory --key --namespace --output --store --unsigned --verbose"
			formats="text json"
			files=yes
			;;
		list)
			flags="--address --help --namespace --output --verbose"
			formats="text json"
			;;
		next)
			flags="--help --inventory --output"
			formats="text json"
			files=yes
			;;
		plan)
			flags="--address --help --namespace --output --store --verbose"
			formats="text json markdown html"
			;;
		pause)
			flags="--address --as --help --id --namespace --output --reason --verbose"
			formats="text json"
			;;
		resume)
			flags="--address --as --help --id --namespace --output --reason --verbose"
			formats="text json"
			;;
		trigger)
			flags="--address --as --help --id --namespace --output --reason --verbose"
			formats="text json"
			;;
		delete)
			flags="--address --as --help --id --namespace --output --reason --verbose"
			formats="text json"
			;;
		esac
		;;
	standing)
		if [ "$COMP_CWORD" -eq 2 ]; then
			words="give list withdraw"
		fi
		case ${COMP_WORDS[2]} in
		give)
			flags="--address --any-files --as --cluster --expires --gate --help --id --key --namespace --output --package --print-statement --reason --signature --statement --verbose"
			formats="text json"
			;;
		list)
			flags="--address --help --namespace --output --verbose"
			formats="text json"
			;;
		withdraw)
			flags="--address --as --help --id --namespace --output --reason --verbose"
			formats="text json"
			;;
		esac
		;;
	freeze)
		if [ "$COMP_CWORD" -eq 2 ]; then
			words="now list"
		fi
		case ${COMP_WORDS[2]} in
		now)
			flags="--address --as --help --id --namespace --output --reason --verbose"
			formats="text json"
			;;
		list)
			flags="--address --campaign --help --inventory --namespace --output --verbose"
			formats="text json"
			;;
		esac
		;;
	thaw)
		flags="--address --as --help --id --namespace --output --reason --verbose"
		formats="text json"
		;;
	claims)
		if [ "$COMP_CWORD" -eq 2 ]; then
			words="list break"
		fi
		case ${COMP_WORDS[2]} in
		list)
			flags="--address --help --inventory --namespace --output --store --verbose"
			formats="text json"
			;;
		break)
			flags="--address --as --elsewhere --help --id --inventory --namespace --output --reason --store --verbose"
			formats="text json"
			;;
		esac
		;;
	quarantine)
		if [ "$COMP_CWORD" -eq 2 ]; then
			words="list release widen"
		fi
		case ${COMP_WORDS[2]} in
		list)
			flags="--address --help --inventory --namespace --output --store --verbose"
			formats="text json"
			;;
		release)
			flags="--address --as --elsewhere --help --id --inventory --namespace --output --reason --rebuilt --retired --return --store --verbose"
			formats="text json"
			;;
		widen)
			flags="--address --all --as --cluster --help --id --inventory --namespace --output --reason --store --verbose"
			formats="text json"
			;;
		esac
		;;
	inventory)
		if [ "$COMP_CWORD" -eq 2 ]; then
			words="import risks"
		fi
		case ${COMP_WORDS[2]} in
		import)
			if [ "$COMP_CWORD" -eq 3 ]; then
				words="ansible consul"
			fi
			case ${COMP_WORDS[3]} in
			ansible)
				flags="--cluster-groups --help --playbook-dir --user"
				files=yes
				;;
			consul)
				flags="--address --datacenter --help --services --user"
				;;
			esac
			;;
		risks)
			flags="--help --inventory --output"
			formats="text json"
			files=yes
			;;
		esac
		;;
	access)
		if [ "$COMP_CWORD" -eq 2 ]; then
			words="scan"
		fi
		case ${COMP_WORDS[2]} in
		scan)
			flags="--accept --changed --digest --help --inventory --output"
			formats="text json"
			;;
		esac
		;;
	worker)
		flags="--address --audit --help --inventory --namespace --playbooks --revoked --segment --signers --store --sweep --verbose"
		;;
	completion)
		flags="--help"
		words="bash zsh fish"
		;;
	version)
		flags="--help"
		;;
	esac
	case $prev in
	--output | -o) mapfile -t COMPREPLY < <(compgen -W "$formats" -- "$cur"); return ;;
	esac
	case $cur in
	-*) mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$cur") ;;
	*)
		if [ -n "$words" ]; then
			mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
		elif [ -n "$files" ] || [[ $prev == -* ]]; then
			mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		fi
		;;
	esac
}
complete -o filenames -F _rollpatch rollpatch
