# Runs a command for an owner that may die at any moment; watchdog.rs tells the story.
#
# stdin   pipe from the owner: `fast` or `immediate` on a line stops the command so; end of file = owner gone
# stdout  a lock to be held as long as the command lives, which inherits it as descriptor 4
# stderr  the log
# $1      signal for the command when the owner is gone
# $2 $3   folders to remove then, or empty
# $4...   the command
exec 3<&0 4>&1 </dev/null 1>&2
farewell=$1 home=$2 socket=$3
shift 3

"$@" 3<&- &
command=$!
owner_gone=
tell() { kill -s "$1" "$command" 2>/dev/null; }
trap 'owner_gone=1; tell "$farewell"' USR1
trap 'tell QUIT' USR2
trap 'tell INT' HUP INT TERM

# Listens to the owner and signals this shell, which alone knows whether the command's pid is still the command's.
(
    exec 4>&-
    trap '' HUP INT
    while read -r word <&3; do
        case $word in
            fast) kill -s TERM $$ ;;
            immediate) kill -s USR2 $$ ;;
        esac
    done
    kill -s USR1 $$ || exit
    # Insists after a minute. By the second, so as not to signal whoever has the pid of a watchdog that was killed.
    patience=60
    while [ "$patience" -gt 0 ]; do
        sleep 1 >/dev/null 2>&1
        kill -0 $$ 2>/dev/null || exit
        patience=$((patience - 1))
    done
    kill -s USR2 $$
) &
listener=$!

# A trapped signal ends `wait` early, hence the question whether the command has really gone.
while :; do
    wait "$command"
    status=$?
    kill -0 "$command" 2>/dev/null || break
done
kill "$listener" 2>/dev/null

if [ -n "$owner_gone" ]; then
    rm -rf -- ${home:+"$home"} ${socket:+"$socket"}
fi
exit "$status"
