// Kafka Streams: one stateful processor over the three topics, exactly-once (v2), two threads.
//
// The same job as tests/bench/rivals/job.py, the state packed into bytes (408 with a full window).
// With a bundle, its step graph runs in this process, one event at a time, (h, c) in the store;
// features are made up of the event in the right shapes, the heads are not run.
// State is in memory with a changelog and the cache that writes a key once per commit. Larger poll,
// batches and cache than the defaults; nothing waits for the slowest topic. No sweep was made.

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

public final class Streams {
  static final ObjectMapper JSON = new ObjectMapper();
  static final String STORE = "user-state";
  static final int STEPS_MAX = 32; // W of the card
  static final int STEP_BYTES = 12; // what, kind, second
  static final int HEAD_BYTES = 24; // four counts, the last time
  static final int THREADS = 2;

  public static void main(String[] arguments) throws Exception {
    JsonNode told = JSON.readTree(arguments[arguments.length - 1]);
    String prefix = told.get("prefix").asText();
    String bundle = told.get("bundle").asText();
    int predictionBytes = told.get("card").get("prediction_bytes").asInt();
    Model model = bundle.isEmpty() ? null : new Model(Path.of(bundle, "steps.onnx"));
    StreamsBuilder builder = new StreamsBuilder();
    builder.addStateStore(
        Stores.keyValueStoreBuilder(
                Stores.inMemoryKeyValueStore(STORE), Serdes.String(), Serdes.ByteArray())
            .withCachingEnabled());
    builder.stream(
            List.of(prefix + "clicks", prefix + "searches", prefix + "purchases"),
            Consumed.with(Serdes.String(), Serdes.ByteArray()))
        .process(() -> new Predict(model, predictionBytes), STORE)
        .to(prefix + "predictions", Produced.with(Serdes.String(), Serdes.ByteArray()));
    KafkaStreams streams = new KafkaStreams(builder.build(), settings(told, prefix));
    streams.setUncaughtExceptionHandler(
        error -> {
          error.printStackTrace();
          Runtime.getRuntime().halt(1);
          return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
    Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
    streams.start();
  }

  static Properties settings(JsonNode told, String prefix) {
    Properties settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, prefix + "streams");
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, told.get("bootstrap").asText());
    settings.put(StreamsConfig.STATE_DIR_CONFIG, told.get("state_dir").asText());
    settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
    settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 500); // as Forecart's
    settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, THREADS);
    settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 256L << 20);
    settings.put(StreamsConfig.MAX_TASK_IDLE_MS_CONFIG, -1L);
    settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
    settings.put(StreamsConfig.consumerPrefix("max.poll.records"), 5_000);
    settings.put(StreamsConfig.consumerPrefix("fetch.max.wait.ms"), 20);
    settings.put(StreamsConfig.producerPrefix("linger.ms"), 20);
    settings.put(StreamsConfig.producerPrefix("batch.size"), 1 << 18);
    settings.put(StreamsConfig.producerPrefix("buffer.memory"), 128L << 20);
    return settings;
  }

  /** Takes an event into its user's state and says what is told of it. */
  static final class Predict implements Processor<String, byte[], String, byte[]> {
    private final Scratch scratch;
    private final int predictionBytes;
    private ProcessorContext<String, byte[]> context;
    private KeyValueStore<String, byte[]> store;

    Predict(Model model, int predictionBytes) {
      this.scratch = model == null ? null : new Scratch(model);
      this.predictionBytes = predictionBytes;
    }

    @Override
    public void init(ProcessorContext<String, byte[]> context) {
      this.context = context;
      this.store = context.getStateStore(STORE);
    }

    @Override
    public void process(Record<String, byte[]> record) {
      JsonNode event;
      try {
        event = JSON.readTree(record.value());
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      }
      int kind =
          switch (event.get("event_type").textValue()) {
            case "click" -> 0;
            case "search" -> 1;
            default -> 2;
          };
      String what =
          switch (kind) {
            case 0 -> event.get("item_id").textValue();
            case 1 -> event.get("query").textValue();
            default -> event.get("items").get(0).get("item_id").textValue();
          };
      long timeMs = event.get("event_time").longValue();
      byte[] before = store.get(record.key());
      int modelBytes = scratch == null ? 0 : Model.STATE * Float.BYTES;
      int first = HEAD_BYTES + modelBytes;
      int held = before == null ? 0 : (before.length - first) / STEP_BYTES;
      int kept = Math.min(held, STEPS_MAX - 1);
      ByteBuffer after = ByteBuffer.allocate(first + (kept + 1) * STEP_BYTES);
      long lastMs = 0;
      if (before != null) {
        after.put(before, 0, first).put(before, before.length - kept * STEP_BYTES, kept * STEP_BYTES);
        lastMs = after.getLong(16);
      }
      after.putInt(what.hashCode()).putInt(kind).putInt((int) (timeMs / 1000));
      after.putInt(0, after.getInt(0) + 1);
      int place = 4 + 4 * kind;
      after.putInt(place, after.getInt(place) + 1);
      after.putLong(16, Math.max(lastMs, timeMs));
      long gapMs = lastMs == 0 ? 0 : timeMs - lastMs;
      float score = scratch == null ? 0 : scratch.score(after, what.hashCode(), kind, gapMs);
      store.put(record.key(), after.array());
      context.forward(record.withValue(prediction(event, after, gapMs, kept + 1, score)));
    }

    private byte[] prediction(
        JsonNode event, ByteBuffer state, long gapMs, int length, float score) {
      int count = state.getInt(0);
      StringBuilder text = new StringBuilder(predictionBytes);
      text.append("{\"event_id\":\"").append(event.get("event_id").textValue());
      text.append("\",\"user_id\":\"").append(event.get("user_id").textValue());
      text.append("\",\"as_of\":").append(event.get("event_time").longValue());
      text.append(",\"user_seq\":").append(count).append(",\"gap_ms\":").append(gapMs);
      text.append(",\"next_event\":{\"click\":").append((float) state.getInt(4) / count);
      text.append(",\"search\":").append((float) state.getInt(8) / count);
      text.append(",\"purchase\":").append((float) state.getInt(12) / count);
      text.append("},\"window_length\":").append(length).append(",\"score\":").append(score);
      text.append(",\"padding\":\"");
      text.repeat('x', predictionBytes - text.length() - 2).append("\"}");
      return text.toString().getBytes(StandardCharsets.UTF_8);
    }
  }

  /** The step graph of a bundle; a session may be run by several threads. */
  static final class Model {
    static final int STATE = 200;
    static final int TOP = 50;
    static final int SIDE = 6;
    static final int DENSE = 17;
    static final int ITEMS = 2_000;
    final OrtEnvironment environment = OrtEnvironment.getEnvironment();
    final OrtSession session;

    Model(Path path) throws OrtException {
      OrtSession.SessionOptions options = new OrtSession.SessionOptions();
      options.setIntraOpNumThreads(1);
      options.setInterOpNumThreads(1);
      options.setOptimizationLevel(OrtSession.SessionOptions.OptLevel.ALL_OPT);
      options.addConfigEntry("session.intra_op.allow_spinning", "0");
      session = environment.createSession(path.toString(), options);
    }
  }

  /** Inputs and outputs of one task, in memory that ONNX Runtime reads and writes itself. */
  static final class Scratch {
    private final Model model;
    private final IntBuffer item = ints(1);
    private final IntBuffer side = ints(Model.SIDE);
    private final FloatBuffer dense = floats(Model.DENSE);
    private final FloatBuffer state = floats(Model.STATE);
    private final FloatBuffer top = floats(Model.TOP);
    private final FloatBuffer stateNext = floats(Model.STATE);
    private final float[] carried = new float[Model.STATE];
    private final Map<String, OnnxTensor> inputs;
    private final Map<String, OnnxTensor> outputs;

    Scratch(Model model) {
      this.model = model;
      try {
        OrtEnvironment on = model.environment;
        inputs =
            Map.of(
                "item_id", OnnxTensor.createTensor(on, item, new long[] {1, 1}),
                "side_id", OnnxTensor.createTensor(on, side, new long[] {1, 1, Model.SIDE}),
                "dense", OnnxTensor.createTensor(on, dense, new long[] {1, 1, Model.DENSE}),
                "state", OnnxTensor.createTensor(on, state, new long[] {1, Model.STATE}),
                "lengths", OnnxTensor.createTensor(on, ints(1).put(0, 1), new long[] {1}));
        outputs =
            Map.of(
                "tops", OnnxTensor.createTensor(on, top, new long[] {1, 1, Model.TOP}),
                "state_next", OnnxTensor.createTensor(on, stateNext, new long[] {1, Model.STATE}));
      } catch (OrtException error) {
        throw new IllegalStateException(error);
      }
    }

    /** Carries (h, c) a step on, in place behind the head of the user's bytes. */
    float score(ByteBuffer user, int what, int kind, long gapMs) {
      FloatBuffer kept = user.slice(HEAD_BYTES, Model.STATE * Float.BYTES).asFloatBuffer();
      kept.get(0, carried);
      state.put(0, carried);
      item.put(0, 1 + Math.floorMod(what, Model.ITEMS));
      side.put(0, 1 + Math.floorMod(what, 40));
      for (int column = 0; column < 3; column++) {
        dense.put(column, column == kind ? 1 : 0);
      }
      dense.put(Model.DENSE - 4, (float) Math.log1p(Math.max(0, gapMs) / 1000.0) / 8);
      try (OrtSession.Result done = model.session.run(inputs, Set.of(), outputs)) {
        stateNext.get(0, carried);
        kept.put(0, carried);
        return top.get(0);
      } catch (OrtException error) {
        throw new IllegalStateException(error);
      }
    }

    private static IntBuffer ints(int count) {
      return ByteBuffer.allocateDirect(4 * count).order(ByteOrder.nativeOrder()).asIntBuffer();
    }

    private static FloatBuffer floats(int count) {
      return ByteBuffer.allocateDirect(4 * count).order(ByteOrder.nativeOrder()).asFloatBuffer();
    }
  }
}
