// Enhance raw images in two ways, score both, and make the page. On a machine with cellqa installed:
//
//     nextflow run examples/nextflow/main.nf --raw raw --gt sharp
//
// -resume goes on after any end: Nextflow keeps what each process made. Inside `score`, a task that
// is tried again begins in a new folder; --allow-failures says how many images may fail.

params.raw = 'raw'
params.gt = 'sharp'
params.methods = 'te,wiener'
params.out = 'results'

process enhance {
    tag "${method}"
    cpus 4

    input:
    tuple val(method), path(raw)

    output:
    path "${method}"

    script:
    """
    cellqa enhance ${raw} ${method} --method ${method} --jobs ${task.cpus} --log enhance.log
    """
}

process score {
    cpus 4
    publishDir params.out, mode: 'copy'

    input:
    path methods
    path gt, stageAs: 'gt'
    path raw, stageAs: 'raw'

    output:
    path 'run/*.csv'
    path 'run/run.json'
    path 'run/report*'
    path 'summary.json'

    script:
    def pred = methods.collect { "--pred ${it}=${it}" }.join(' ')
    """
    cellqa score ${pred} --gt gt --input raw --out run --jobs ${task.cpus} \\
        --allow-failures 1% --json --log score.log > summary.json
    """
}

workflow {
    raw = file(params.raw, checkIfExists: true)
    gt = file(params.gt, checkIfExists: true)
    enhanced = enhance(Channel.fromList(params.methods.tokenize(',')).map { [it, raw] })
    score(enhanced.collect(), gt, raw)
}
