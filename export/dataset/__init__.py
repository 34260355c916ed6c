"""From events to training data: logs, the engine's record of them, labels, arrays. No torch.

    source                        one log                  kept
    shop_log.py    a simulation   event_log.EventLog       folder.py: a dataset folder
    file_log.py    files      ->  decoded, merged      ->  split.py, vocabularies.py, report.py
    kafka_log.py   topics         (merge_log.py)           (all fitted on train alone)

What others build on:

    from export.dataset.folder import load_dataset
    dataset = load_dataset(Path(...))              # log, cuts, counts, manifest; DatasetError
    splits = dataset.splits(refresh_steps=16)      # .train, .validation, .test, .vocabulary, ...
    splits.train.data                              # training_set.TrainingSet: encoded, labelled
    splits.train.recorded                          # record.Recorded: raw steps, head, recent items

`record.record` runs the service's engine over a log and keeps what it asks of a model; with an
inner scorer (stream.model.scorer.OnnxScorer) it also keeps the answers: "as served".
"""
